/**
 * Ends the program without a stack trace if its output can't be written: quietly if the reader has gone (`vas … | head`),
 * else with a sentence.
 */
export function endOnBrokenOutput(
  output: NodeJS.WriteStream,
  program: Pick<NodeJS.Process, "stderr" | "exit">,
): void {
  output.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") program.stderr.write(`can't write the output: ${error.message}\n`);
    program.exit(1);
  });
}
