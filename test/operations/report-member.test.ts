import { describe, expect, test } from "vitest";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import {
  getMirror,
  reportMemberFailure,
  reportMemberInSync,
} from "../../manager/operations/report-member.js";
import { FailureTarget, MemberStatus } from "../../shared/states.js";
import { type Attached, attachedVolume, statusesOf } from "./attached.js";

const report = ({ lvolid, mirrorid }: Attached, dextid: number, version: number, epoch = 1) => ({
  lvolid,
  epoch,
  mirrorid,
  dextid,
  version,
});

async function versionOf({ state, lvolid, mirrorid }: Attached): Promise<number> {
  return (await state.run(getMirror, { lvolid, epoch: 1, mirrorid })).version;
}

describe("reports of a head about its members", () => {
  test("a failed member leaves INSYNC, and the version rises", async () => {
    const volume = await attachedVolume();
    const [a] = volume.dextids;
    const before = await versionOf(volume);
    const { version } = await volume.state.run(reportMemberFailure, report(volume, a, before));
    expect(version).toBe(before + 1);
    expect((await statusesOf(volume.state, volume.lvolid)).get(a)).toBe(MemberStatus.SPARE);
    expect(await volume.state.findings()).toEqual([]);
  });

  test("the last good copy is kept", async () => {
    const volume = await attachedVolume();
    const [a, b, c] = volume.dextids;
    for (const dextid of [a, b]) {
      await volume.state.run(reportMemberFailure, report(volume, dextid, await versionOf(volume)));
    }
    const last = report(volume, c, await versionOf(volume));
    await expect(volume.state.run(reportMemberFailure, last)).rejects.toMatchObject({ errno: "EBUSY" });
    expect((await statusesOf(volume.state, volume.lvolid)).get(c)).toBe(MemberStatus.INSYNC);
    expect(await volume.state.findings()).toEqual([]);
  });

  test("an in-sync report that was held up behind a later failure is refused", async () => {
    const volume = await attachedVolume();
    const [a] = volume.dextids;
    const { version } = await volume.state.run(
      reportMemberFailure,
      report(volume, a, await versionOf(volume)),
    );
    const heldUp = report(volume, a, version);
    // The member fails again before its in-sync report arrives: no status changes, but the version does.
    await volume.state.run(reportMemberFailure, report(volume, a, version));
    await expect(volume.state.run(reportMemberInSync, heldUp)).rejects.toMatchObject({ errno: "EAGAIN" });
    expect((await statusesOf(volume.state, volume.lvolid)).get(a)).toBe(MemberStatus.SPARE);
  });

  test("a report that a dead process had sent changes nothing once the next one starts", async () => {
    const volume = await attachedVolume();
    const { state, lvolid, mirrorid } = volume;
    const [a, b] = volume.dextids;
    const { version } = await state.run(reportMemberFailure, report(volume, a, await versionOf(volume)));
    const starting = await state.run(getMirror, { lvolid, epoch: 1, mirrorid, starting: true });
    expect(starting.version).toBe(version + 1);
    const late = state.run(reportMemberInSync, report(volume, a, version));
    await expect(late).rejects.toMatchObject({ errno: "EAGAIN" });
    const alsoLate = state.run(reportMemberFailure, report(volume, b, version));
    await expect(alsoLate).rejects.toMatchObject({ errno: "EAGAIN" });
    const statuses = await statusesOf(state, lvolid);
    expect([statuses.get(a), statuses.get(b)]).toEqual([MemberStatus.SPARE, MemberStatus.INSYNC]);
  });

  test("a failure report that was held up behind a later in-sync report drops nobody", async () => {
    const volume = await attachedVolume();
    const [a] = volume.dextids;
    const first = report(volume, a, await versionOf(volume));
    const { version } = await volume.state.run(reportMemberFailure, first);
    await volume.state.run(reportMemberInSync, report(volume, a, version));
    await expect(volume.state.run(reportMemberFailure, first)).rejects.toMatchObject({ errno: "EAGAIN" });
    expect((await statusesOf(volume.state, volume.lvolid)).get(a)).toBe(MemberStatus.INSYNC);
  });

  test("a failure report whose answer was lost may be sent again", async () => {
    const volume = await attachedVolume();
    const [a] = volume.dextids;
    const first = report(volume, a, await versionOf(volume));
    await volume.state.run(reportMemberFailure, first);
    await expect(volume.state.run(reportMemberFailure, first)).resolves.toHaveProperty("version");
  });

  test("a report whose answer is lost again and again drops its member once, and nobody else", async () => {
    const volume = await attachedVolume();
    const [a, b, c] = volume.dextids;
    const first = report(volume, a, await versionOf(volume));
    const answers = [];
    for (let time = 0; time < 3; time += 1)
      answers.push((await volume.state.run(reportMemberFailure, first)).version);
    // The head goes on with the last one, which it has heard; an earlier one that arrives now is of no use to anybody.
    expect(answers).toEqual([...answers].sort((one, other) => one - other));
    const statuses = await statusesOf(volume.state, volume.lvolid);
    expect([a, b, c].map((dextid) => statuses.get(dextid))).toEqual([
      MemberStatus.SPARE,
      MemberStatus.INSYNC,
      MemberStatus.INSYNC,
    ]);
  });

  test("of two members that fail at the same time, the one whose report was overtaken is dropped when it is repeated", async () => {
    const volume = await attachedVolume();
    const { state, lvolid } = volume;
    const [a, b, c] = volume.dextids;
    const version = await versionOf(volume);
    await state.run(reportMemberFailure, report(volume, b, version));
    const overtaken = state.run(reportMemberFailure, report(volume, a, version));
    await expect(overtaken).rejects.toMatchObject({ errno: "EAGAIN" });
    expect((await statusesOf(state, lvolid)).get(a)).toBe(MemberStatus.INSYNC);
    await state.run(reportMemberFailure, report(volume, a, await versionOf(volume)));
    const statuses = await statusesOf(state, lvolid);
    expect([a, b, c].filter((dextid) => statuses.get(dextid) === MemberStatus.INSYNC)).toEqual([c]);
  });

  test("an in-sync report from before another member's failure is refused, also if that failure was of another member", async () => {
    const volume = await attachedVolume();
    const [a, b] = volume.dextids;
    const { version } = await volume.state.run(
      reportMemberFailure,
      report(volume, a, await versionOf(volume)),
    );
    const heldUp = report(volume, a, version);
    await volume.state.run(reportMemberFailure, report(volume, b, version));
    await expect(volume.state.run(reportMemberInSync, heldUp)).rejects.toMatchObject({ errno: "EAGAIN" });
    expect((await statusesOf(volume.state, volume.lvolid)).get(a)).toBe(MemberStatus.SPARE);
  });

  test("another epoch's reports are refused, and after a fence this one's too", async () => {
    const volume = await attachedVolume();
    const [a] = volume.dextids;
    const version = await versionOf(volume);
    await expect(volume.state.run(reportMemberFailure, report(volume, a, version, 2))).rejects.toMatchObject({
      errno: "ESTALE",
    });
    await volume.state.run(notifyFailure, { target: FailureTarget.HSVR, targetid: volume.hsvrid });
    await expect(volume.state.run(reportMemberFailure, report(volume, a, version))).rejects.toMatchObject({
      errno: "ESTALE",
    });
    expect(await volume.state.findings()).toEqual([]);
  });

  test("an extent that is no member is ENOENT", async () => {
    const volume = await attachedVolume();
    await expect(
      volume.state.run(reportMemberFailure, report(volume, 999, await versionOf(volume))),
    ).rejects.toMatchObject({ errno: "ENOENT" });
  });
});
