/**
 * A server with the methods `echo` and `version`, on our code or on the npm package `xmlrpc`, for xmlrpc-hostile.mjs.
 * It prints its port. Both are given the same methods; `version` fails, as methods can, when it is given no struct.
 *
 * Usage: node xmlrpc-echo-server.mjs ours|package
 */
import { createRequire } from "node:module";
import { XmlRpcFault } from "../dist/shared/xmlrpc/fault.js";
import { createXmlRpcServer } from "../dist/shared/xmlrpc/server.js";

const methods = new Map([
  ["echo", (params) => params[0] ?? ""],
  ["version", (params) => params[0].ver],
]);

async function startOurs() {
  const server = createXmlRpcServer({
    dispatch: async (method, params) => {
      const run = methods.get(method);
      if (run === undefined) throw new XmlRpcFault(1, `method "${method}" is not supported`);
      return run(params);
    },
    maxBodyBytes: 4_000_000,
    maxHeldBytes: 64_000_000,
    maxConnections: 500,
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 30_000,
    keepAliveTimeoutMs: 10_000,
    onDefect: () => undefined,
  });
  const { port } = await server.listen("127.0.0.1", 0);
  console.log(port);
}

function startPackage() {
  const xmlrpc = createRequire(import.meta.url)("xmlrpc");
  const server = xmlrpc.createServer({ host: "127.0.0.1", port: 0 }, () =>
    console.log(server.httpServer.address().port),
  );
  for (const [method, run] of methods) {
    server.on(method, (_error, params, answer) => answer(null, run(params)));
  }
}

if (process.argv[2] === "ours") await startOurs();
else startPackage();
