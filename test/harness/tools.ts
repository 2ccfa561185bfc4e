import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { onTestFinished } from "vitest";

/** Ordinary programs that the client tests drive, and the Debian packages that hold them. */
const packages = { "qemu-io": "qemu-utils", nbdcopy: "libnbd-bin", fio: "fio", python3: "python3" } as const;
export type Tool = keyof typeof packages;

/** @throws with the name of the package if the tool is not there: a test without its tool has failed. */
export function findTool(tool: Tool): string {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return join(folder, tool);
    } catch {
      // Not in this folder.
    }
  }
  throw new Error(`${tool} is missing; install the Debian package ${packages[tool]}`);
}

export interface ToolResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; killed if the test ends first. */
export function run(
  program: string,
  args: readonly string[],
  environment = process.env,
): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: environment, stdio: ["ignore", "pipe", "pipe"] });
    const output = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text;
    });
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, ...output }));
    onTestFinished(() => {
      child.kill("SIGKILL");
    });
  });
}

/** Runs a tool that must succeed. @returns what it printed. */
export async function runTool(tool: Tool, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(findTool(tool), args);
  if (code !== 0) throw new Error(`${tool} ${args.join(" ")} ended with ${code}:\n${stderr}\n${stdout}`);
  return stdout;
}

/** How NBD clients name an export on a Unix socket. */
export const nbdUri = (socket: string): string => `nbd+unix:///?socket=${socket}`;
