/**
 * Our XML-RPC codec and server beside those of the npm package `xmlrpc`: time to read and to write an answer of 3.3 MB,
 * and which of the hostile requests in test/xmlrpc/hostile-requests.json kill or hang a server process.
 *
 * Run with `npm run bench:xmlrpc`.
 */
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { decodeResponse } from "../dist/shared/xmlrpc/decode-response.js";
import { encodeResponse } from "../dist/shared/xmlrpc/encode-response.js";
import { countSurvivedRequests } from "./xmlrpc-hostile.mjs";

const require = createRequire(import.meta.url);
const Deserializer = require("xmlrpc/lib/deserializer");
const Serializer = require("xmlrpc/lib/serializer");

const ROUNDS = 11;
const EXTENTS = 5200;

/** An answer like showLogicalVolume for a large volume: mirrors of extents, mostly small numbers and names. */
function largeAnswer() {
  const extents = Array.from({ length: EXTENTS }, (_, number) => ({
    lvolid: number,
    lvolname: `dext-${number.toString(16).padStart(8, "0")}`,
    lvoltype: 3,
    capacity: 1,
    lvolspec: { pdskid: number % 96, offset: number * 3, status: 1, ssvrid: number % 24 },
  }));
  return { lvolname: "volume", capacity: EXTENTS, components: extents };
}

async function medianMs(run) {
  const times = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)];
}

function packageDecode(document) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    for (let start = 0; start < document.length; start += 65536)
      chunks.push(document.subarray(start, start + 65536));
    new Deserializer().deserializeMethodResponse(
      Readable.from(chunks, { objectMode: false }),
      (error, value) => (error ? reject(error) : resolve(value)),
    );
  });
}

const answer = largeAnswer();
const document = Buffer.from(encodeResponse(answer));
const rows = [
  ["read", await medianMs(() => decodeResponse(document)), await medianMs(() => packageDecode(document))],
  [
    "write",
    await medianMs(() => Buffer.from(encodeResponse(answer))),
    await medianMs(() => Buffer.from(Serializer.serializeMethodResponse(answer))),
  ],
];
const table = {};
for (const [what, ours, theirs] of rows) {
  table[`${what} ${(document.length / 1e6).toFixed(1)} MB, median of ${ROUNDS}`] = {
    ours: `${ours.toFixed(0)} ms`,
    "xmlrpc 1.3.2": `${theirs.toFixed(0)} ms`,
  };
}

const ours = await countSurvivedRequests("ours");
const theirs = await countSurvivedRequests("package");
table[`of ${ours.total} hostile requests, killed the process`] = {
  ours: ours.killedBy.length,
  "xmlrpc 1.3.2": theirs.killedBy.length,
};
table["left it unable to answer the next call for 2 s"] = {
  ours: ours.hungBy.length,
  "xmlrpc 1.3.2": theirs.hungBy.length,
};
console.table(table);
for (const [name, { killedBy, hungBy }] of [
  ["ours", ours],
  ["xmlrpc 1.3.2", theirs],
]) {
  if (killedBy.length > 0) console.log(`${name} was killed by: ${killedBy.join("; ")}`);
  if (hungBy.length > 0) console.log(`${name} was hung by: ${hungBy.join("; ")}`);
}
