/**
 * What section 4 of the FGBI paper says, in numbers, for the page: Xen 3.4 on two hosts with two
 * cores of 1.86 GHz each, 1 Gbit/s between them. The points of its figures 4 and 5 are given in
 * drawings only; the text has the numbers below and those of table 1.
 */
export const paperSays = {
  typeI: `The paper (figure 4, drawn only; its text says): against LLM, FGBI's type I downtime is up
to 77 % shorter; against Remus up to 31 % under Apache, 45 % under NPB-EP, 39 % under SPECweb, 35 %
under SPECsys. Under Apache LLM is the shortest.`,
  typeII: `The paper's table 1:

| | Remus | LLM | FGBI | FGBI against Remus | FGBI against LLM |
| --- | --- | --- | --- | --- | --- |
| idle | 64 ms | 69 ms | 66 ms | +3 % | -4 % |
| Apache | 1,032 ms | 687 ms | 533 ms | -48 % | -22 % |
| NPB-EP | 1,254 ms | 16,683 ms | 314 ms | -75 % | -98 % |`,
  overhead: `The paper (figure 5a, drawn only; its text says): at most 13 % (Apache, 64 bytes), less
than 8.21 % on average at 64 bytes, and less with larger blocks.`,
  techniques: `The paper (figure 5b, NPB-EP, downtime; drawn only, its text says): blocks alone are up
to 20 % shorter than Remus; to that compression adds up to 22 %, sharing up to 26 %, both together
up to 33 %.`,
} as const;

/** Reasons that lie in the designs and in this machine, not in one run. */
export const whyTheyDiffer = {
  typeI: `Why ours differ: here a backup has applied every checkpoint before it acknowledges it, and
a standby QEMU waits. What a takeover takes (silence of the primary, the term, loading device state)
depends neither on the mode nor on how much the guest writes; the paper's backup had memory
left to work off. What is left between "resumed" and the answer is the guest's own work: under
emulation (TCG) the new QEMU translates all code again, on one core, while the workload runs on. So
\`remus\` and \`fgbi\` lie close together: the baseline has the same backup, and nothing of what is
in the table above depends on blocks. \`llm\` resumes an older state and is told the logged input again.
New clients are answered meanwhile; what it was before it has to work out anew. The paper counts
that as LLM's type I: it is "regained" here.`,
  typeII: `Why ours differ: in the paper the guest stands still until what is left was sent; here it
stands still for a copy in memory, and the bytes go out beside the running guest. In \`fgbi\` live
rounds have copied most pages before the pause (the paper's FGBI has none), and its floor is \`stop\`,
device state and \`cont\`. Of 127 such pauses on memory-256 (apart from this run, other work beside it,
QEMU not yet woken before; a median of 5.8 ms) medians were 2.4 ms for \`stop\`, 0.7 for the scan,
0.2 for the copy of some 500 pages, 0.5 for device state and 0.6 for \`cont\`: what modes differ in
is the smaller part. (\`stop\` includes waiting for the core that the agents and the server share.)
\`llm\` pauses for everything that was written in 20 periods; where that is more than the capture
buffer holds, it is sent inside the pause. An emulated guest writes less memory in the same time
than the paper's did.`,
  overhead: `Why ours differ: the agents have a core of their own here, so hashing costs the guest
little whatever the block size; what the guest pays is the pause, and the first write to each page
after a checkpoint. The paper's overhead is a longer runtime of the application, ours less work in
the same time: the same share.`,
  techniques: `Why ours differ: sharing and compression happen after the pause here, so they can't
shorten type II; what they change is how long a checkpoint takes to be acknowledged, which is what
output waits for, and the bytes on the wire.`,
} as const;
