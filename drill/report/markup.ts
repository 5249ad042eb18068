/** Makes text harmless in HTML and SVG, in elements and in quoted attributes. */
export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** A pixel position, short. */
export const px = (value: number) => String(Math.round(value * 10) / 10);
