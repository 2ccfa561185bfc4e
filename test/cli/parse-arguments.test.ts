import { expect, test } from "vitest";
import {
  idParameter,
  nameParameter,
  numberParameter,
  optional,
  volumeParameter,
  WrongUsage,
} from "../../cli/original/parameter.js";
import { parseArguments, type Syntax, usageOf } from "../../cli/original/parse-arguments.js";

const create: Syntax = {
  name: "lvol_create",
  options: { redundancy: { ...numberParameter("redundancy", "a number of copies"), name: "N" } },
  parameters: [nameParameter("lvolname"), numberParameter("capacity", "a whole number of GB")],
};
const attach: Syntax = {
  name: "lvol_attach",
  options: {},
  parameters: [volumeParameter, idParameter("hsvr")],
};
const list: Syntax = { name: "lvol_list", options: {}, parameters: [optional(volumeParameter)] };

test("usage is one line", () => {
  expect(usageOf(create)).toBe("usage: lvol_create [-h|--help] [--redundancy N] lvolname capacity");
  expect(usageOf(attach)).toBe("usage: lvol_attach [-h|--help] lvol hsvrid");
  expect(usageOf(list)).toBe("usage: lvol_list [-h|--help] [lvol]");
});

test.each([
  [["--redundancy", "2", "data", "10"]],
  [["--redundancy=2", "data", "10"]],
  [["--red", "2", "data", "10"]],
  [["--r=2", "--", "data", "10"]],
])("options are read as getopt does: %j", (argv) => {
  expect(parseArguments(argv, create)).toEqual({
    help: false,
    options: { redundancy: 2 },
    values: ["data", 10],
  });
});

test.each([["-h"], ["--help"], ["--he"]])("%s asks for help", (option) => {
  expect(parseArguments([option, "--nonsense"], create).help).toBe(true);
});

test.each([
  ["lvol-0000000a", { lvolid: 10 }],
  ["0000000a", { lvolid: 10 }],
  ["0000000A", { lvolid: 10 }],
  ["lvol-0000000A", { lvolid: 10 }],
  ["a", { lvolname: "a" }],
  ["10", { lvolname: "10" }],
  ["-", { lvolname: "-" }],
  ["0000000g", { lvolname: "0000000g" }],
])("%s is a volume", (text, volume) => {
  expect(parseArguments([text], list).values).toEqual([volume]);
});

test("an optional argument may be left out", () => {
  expect(parseArguments([], list).values).toEqual([]);
});

test.each<[string[], Syntax, string]>([
  [["a", "x"], attach, "invalid hsvr-id: x; expected hsvr-XXXXXXXX or eight hex digits"],
  [["a", "1"], attach, "invalid hsvr-id: 1; expected hsvr-XXXXXXXX or eight hex digits"],
  [
    ["a", "ssvr-00000001"],
    attach,
    "invalid hsvr-id: ssvr-00000001; expected hsvr-XXXXXXXX or eight hex digits",
  ],
  [["a"], attach, "missing argument: hsvrid; expected lvol hsvrid"],
  [[], attach, "missing argument: lvol; expected lvol hsvrid"],
  [["a", "b"], list, "superfluous argument: b; expected at most 1"],
  [["a", "ten"], create, "invalid capacity: ten; expected a whole number of GB"],
  [["a", "1.5"], create, "invalid capacity: 1.5; expected a whole number of GB"],
  [["a", "10", "--redundancy", "2"], create, "superfluous argument: --redundancy; expected at most 2"],
  [["--redundancy", "two", "a", "1"], create, "invalid redundancy: two; expected a number of copies"],
  [["--redundancy"], create, "missing value of --redundancy; expected --redundancy N"],
  [["--copies", "2"], create, "unknown option: --copies; expected -h, --help, --redundancy"],
  [["-r", "2"], create, "unknown option: -r; expected -h or --help"],
  [["--help=1"], create, "--help takes no value; expected --help alone"],
])("%j is wrong usage, and the message says how it should be", (argv, syntax, message) => {
  expect(() => parseArguments(argv, syntax)).toThrow(new WrongUsage(message));
});
