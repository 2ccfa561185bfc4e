import { execFileSync } from "node:child_process";
import { Argument, Command } from "commander";
import { expect, test } from "vitest";
import { completionEntries } from "../../cli/commands/completion.js";
import { completionScripts } from "../../cli/completion-scripts.js";

function program(): Command {
  const vas = new Command("vas").option("--json", "print JSON");
  const volume = vas.command("volume").description("volumes");
  volume.command("create").description("it's new").option("--size <GB>", "capacity");
  vas.command("failure").addArgument(new Argument("<kind>").choices(["head", "disk"]));
  return vas;
}
const entries = completionEntries(program());

test("what can follow each command is known", () => {
  const words = entries.map(({ path, words: all }) => [
    path.join(" "),
    all.map(({ text }) => text).join(" "),
  ]);
  expect(words).toEqual([
    ["", "volume failure --json --help"],
    ["volume", "create --json --help"],
    ["volume create", "--size --json --help"],
    ["failure", "head disk --json --help"],
  ]);
});

/** What bash offers after these words. */
function offered(...words: string[]): string[] {
  const call = [
    ...completionScripts.bash("vas", entries),
    `COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vas; printf "%s " "\${COMPREPLY[@]}"`,
  ];
  const output = execFileSync("bash", ["-c", call.join("\n"), "bash", ...words], { encoding: "utf8" });
  return output.split(" ").filter((word) => word !== "");
}

test("bash completes commands, choices and options, whatever stands between them", () => {
  expect(offered("vas", "v")).toEqual(["volume"]);
  expect(offered("vas", "--json", "volume", "")).toEqual(["create", "--json", "--help"]);
  expect(offered("vas", "volume", "create", "data", "--s")).toEqual(["--size"]);
  expect(offered("vas", "failure", "d")).toEqual(["disk"]);
});

test("zsh and fish get the same words", () => {
  const zsh = completionScripts.zsh("vas", entries).join("\n");
  expect(zsh).toContain('(" volume create") compadd -- --size --json --help ;;');
  const fish = completionScripts.fish("vas", entries);
  expect(fish).toContain(`complete -c vas -n '__vas_at " volume"' -a create -d 'it\\'s new'`);
  expect(fish).toContain(`complete -c vas -n '__vas_at " volume create"' -l size -d 'capacity'`);
});
