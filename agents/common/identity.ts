import { z } from "zod";
import { VasError } from "../../shared/errors.js";
import { damaged, readDurable, writeDurable } from "./durable-file.js";
import { InTurn } from "./in-turn.js";

const document = z.object({ cluster: z.string().min(1), serial: z.number().int().min(0) });

/**
 * Which cluster an agent belongs to, and the highest serial of a manager that it has heard of (rule R13). Both are
 * durable before anything is done in their name; the serial never falls, and the cluster never changes.
 */
export class Identity {
  readonly #path: string;
  readonly #turns = new InTurn();
  #known: z.infer<typeof document> | undefined;

  private constructor(path: string, known: z.infer<typeof document> | undefined) {
    this.#path = path;
    this.#known = known;
  }

  /** @throws DamagedFileError if what is written down can't be trusted */
  static async load(path: string): Promise<Identity> {
    const found = await readDurable(path);
    if (found === undefined) return new Identity(path, undefined);
    const parsed = document.safeParse(found);
    if (!parsed.success) throw damaged(path, "it does not name a cluster and a serial");
    return new Identity(path, parsed.data);
  }

  /** undefined until a manager was heard of. */
  get cluster(): string | undefined {
    return this.#known?.cluster;
  }

  /**
   * Admits a call of a manager, or refuses it. What a caller leaves out is not checked: callers of the original
   * protocol know of neither.
   *
   * @throws VasError EPERM if it is of another cluster, or of a manager older than one we know
   */
  async admit(cluster: string | undefined, serial: number | undefined): Promise<void> {
    this.#check(cluster, serial);
    if (cluster === undefined || cluster === "" || (this.#known?.serial ?? -1) >= (serial ?? 0)) return;
    await this.#turns.run(async () => {
      // While we waited for our turn, a newer manager may have been heard of.
      this.#check(cluster, serial);
      const next = { cluster, serial: serial ?? 0 };
      if (this.#known?.serial === next.serial) return;
      await writeDurable(this.#path, next);
      this.#known = next;
    });
  }

  #check(cluster: string | undefined, serial: number | undefined): void {
    const known = this.#known;
    if (known === undefined) return;
    if (cluster !== undefined && cluster !== known.cluster) {
      throw new VasError("EPERM", `this agent belongs to the cluster ${known.cluster}, not to ${cluster}`);
    }
    if (serial !== undefined && serial < known.serial) {
      throw new VasError(
        "EPERM",
        `a manager with serial ${known.serial} is known; ${serial} is an older one`,
      );
    }
  }
}
