/** Breaks a text between its words into lines that fit a width; a word that is too long by itself is broken too. */
export function fold(text: string, width: number): string[] {
  const most = Math.max(1, width);
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > most) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
    for (; line.length > most; line = line.slice(most)) lines.push(line.slice(0, most));
  }
  return [...lines, line];
}

/** The same for an entry of a list: its mark stands before the first line, and the others are indented as far. */
export function foldEntry(mark: string, text: string, width: number): string[] {
  const indent = " ".repeat(mark.length);
  return fold(text, width - mark.length).map((line, place) => (place === 0 ? mark : indent) + line);
}
