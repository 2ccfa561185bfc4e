// Commits rows k1, k2 … to the store named on the command line and prints the number of each once it is committed.
// A process of its own, so that it can be killed: it runs what `npm run build` made.
import { writeSync } from "node:fs";
import { openStore } from "../../dist/manager/store/open-store.js";

const store = await openStore(process.argv[2]);
const { count } = await store.db
  .selectFrom("meta")
  .select((of) => of.fn.countAll().as("count"))
  .executeTakeFirstOrThrow();
for (let next = Number(count) + 1; ; next++) {
  await store.transaction(async (tx) => {
    await tx
      .insertInto("meta")
      .values({ key: `k${next}`, value: "x".repeat(500) })
      .execute();
  });
  writeSync(1, `${next}\n`);
}
