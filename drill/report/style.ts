/** The report's style: light or dark as the reader's system is, nothing from elsewhere. */
export const style = `
:root { color-scheme: light dark; --bg: #fbfbfa; --fg: #1d2126; --dim: #626b76; --line: #dfe2e6;
  --card: #ffffff; --good: #14753c; --bad: #b3261e;
  --c1: #2b66c4; --c2: #d9822b; --c3: #2f8f6b; --c4: #8a56c2; --c5: #c2475f; }
@media (prefers-color-scheme: dark) { :root { --bg: #15181c; --fg: #e6e8ea; --dim: #98a2ad;
  --line: #2d333a; --card: #1c2026; --good: #5ecb8b; --bad: #ff8a80;
  --c1: #6ea6ff; --c2: #f0a55a; --c3: #63c8a0; --c4: #b891f0; --c5: #f0879a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 940px; padding: 28px 20px 60px; background: var(--bg);
  color: var(--fg); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 24px; margin: 0 0 2px; } h2 { font-size: 17px; margin: 34px 0 10px; }
p { margin: 4px 0; } .dim { color: var(--dim); }
.verdict { border-left: 5px solid; padding: 10px 14px; margin: 18px 0; background: var(--card);
  border-radius: 4px; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); }
.verdict { border-color: currentcolor; }
.verdict p { color: var(--fg); font-weight: 400; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(250px, 1fr)); gap: 12px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 10px 14px; }
.tile b { display: block; font-size: 23px; font-weight: 650; font-variant-numeric: tabular-nums; }
.tile span { color: var(--dim); font-size: 13px; display: block; line-height: 1.4; }
table { border-collapse: collapse; width: 100%; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; }
td, th { text-align: left; padding: 6px 12px; border-top: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
tr:first-child td, tr:first-child th { border-top: 0; }
th { font-weight: 600; white-space: nowrap; width: 1%; } td:first-child { width: 1%; }
pre { background: var(--card); border: 1px solid var(--line); padding: 12px; overflow-x: auto;
  border-radius: 8px; font-size: 12.5px; }
figure { margin: 0 0 18px; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: 14px 14px 8px; overflow-x: auto; }
svg { display: block; width: 100%; min-width: 560px; height: auto; }
svg text { fill: var(--fg); font: 12px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
svg .title { font-size: 14px; font-weight: 600; }
svg .y { text-anchor: end; dominant-baseline: middle; fill: var(--dim); }
svg .end { text-anchor: end; fill: var(--dim); }
svg .x { text-anchor: middle; fill: var(--dim); } svg .legend { fill: var(--dim); }
svg .inside { fill: #fff; font-size: 11px; }
svg .name { fill: var(--fg); font-weight: 600; }
svg .grid { stroke: var(--line); } svg .mark { stroke: var(--bad); stroke-dasharray: 4 3; }
svg .marked { text-anchor: end; fill: var(--bad); }
svg polyline { fill: none; stroke-width: 1.5; } svg .leader { stroke: var(--dim); }
.s1 polyline { stroke: var(--c1); } .s2 polyline { stroke: var(--c2); }
.s1 circle, .f1 { fill: var(--c1); } .s2 circle, .f2 { fill: var(--c2); }
.f3 { fill: var(--c3); } .f4 { fill: var(--c4); } .f5 { fill: var(--c5); }
@media print { body { max-width: none; } figure, table { break-inside: avoid; } }
`;
