// Time of a volume's plan.
// Run: npm run build && node bench/layout.mjs
import { planReplacement } from "../dist/manager/layout/plan-replacement.js";
import { planVolume } from "../dist/manager/layout/plan-volume.js";

const HIGH = 1;
const ROUNDS = 15;

/** Disks of 16 TB, each a quarter used; `holes` = pieces of 1 GB free between pieces of 1 GB that are not. */
function cluster(servers, disksPerServer, zones, holes = 0) {
  const candidates = [];
  for (let ssvrid = 1; ssvrid <= servers; ssvrid++) {
    for (let disk = 0; disk < disksPerServer; disk++) {
      const free = Array.from({ length: holes }, (_, at) => ({ offset: 2 * at, length: 1 }));
      candidates.push({
        pdskid: candidates.length + 1,
        ssvrid,
        zone: `z${ssvrid % zones}`,
        capacity: 16_000,
        priority: HIGH,
        serverPriority: HIGH,
        resyncs: 0,
        free: [...free, { offset: 4_000, length: 12_000 }],
      });
    }
  }
  return candidates;
}

/** Median of the rounds after the first ones, which warm up. */
function measure(name, run) {
  const times = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  const warm = times.slice(5).sort((a, b) => a - b);
  console.log(`${name}: ${warm[warm.length >> 1].toFixed(1)} ms (first ${times[0].toFixed(1)} ms)`);
}

function measureVolume(name, mirrors, candidates) {
  const wish = { capacity: mirrors * 10, redundancy: 3, sizes: [10, 1], candidates };
  measure(`${mirrors} mirrors over ${name}`, () => planVolume(wish));
}

const huge = cluster(1_000, 12, 20);
measureVolume("24 disks, 12 servers, 1 zone", 4_096, cluster(12, 2, 1));
measureVolume("24 disks, 12 servers, 4 zones", 4_096, cluster(12, 2, 4));
measureVolume("24 disks with 2,000 holes each", 4_096, cluster(12, 2, 4, 2_000));
measureVolume("12,000 disks, 1,000 servers, 20 zones", 100, huge);
measure("a replacement over 12,000 disks", () =>
  planReplacement({ length: 10, members: [{ ssvrid: 1, zone: "z1" }], candidates: huge }),
);
