// Runs in the network namespace that joins those of a test cluster: takes connections on a Unix socket, which is seen
// from all namespaces, and passes each on to the TCP address that its first line names ("10.1.2.3 8881").
import { connect, createServer } from "node:net";

const [path] = process.argv.slice(2);

createServer((client) => {
  client.on("error", () => client.destroy());
  client.once("data", (first) => {
    client.pause();
    const end = first.indexOf("\n");
    const [host, port] = first.toString("latin1", 0, end).split(" ");
    const server = connect({ host, port: Number(port) });
    server.on("error", () => client.destroy());
    server.on("close", () => client.destroy());
    client.on("close", () => server.destroy());
    server.write(first.subarray(end + 1));
    client.pipe(server);
    server.pipe(client);
  });
}).listen(path);
