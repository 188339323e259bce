// The data of a report. Data scripts push records to the global list `saereport`; here it becomes
// a receiver, which keeps each record under its kind.
import { allNamed, nameRows } from "./rows.js";

/** @import { Fields, Joint, PageData, Shard, Table } from "../types" */
/** @import { AnyRecord, BlockRecord, GraphRecord, IndexRecord, PageRecord, ReportRecord, SaeRecord, ShardRecord, TextRecord, VocabularyRecord } from "../records" */

/** The data that has come so far. */
export const store = {
  /** @type {ReportRecord} */
  report: { title: "", fingerprint: "", single: false, texts: [], rows: {}, saes: [], panels: [], bases: [] },
  /** @type {Map<string, Fields>} */
  bases: new Map(),
  /** @type {Map<string, SaeRecord>} */
  saes: new Map(),
  /** @type {Map<number, string>} */
  tokens: new Map(),
  /**
   * By first token, runs of tokens that are text together only; see saereport/site/context.py.
   * @type {Map<number, Joint[]>}
   */
  joints: new Map(),
  /** @type {Set<number>} */
  special: new Set(),
  /** @type {Map<string, Table>} */
  tables: new Map(),
  /** @type {Map<string, Shard>} */
  shards: new Map(),
  /** @type {Map<number, string>} */
  sequences: new Map(),
  /**
   * Packed latents with a stored example in a sequence; see saereport/site/sequences.py.
   * @type {Map<number, string>}
   */
  readers: new Map(),
  /**
   * What is drawn on the pages that have come, by their path.
   * @type {Map<string, PageData>}
   */
  pages: new Map(),
  /** @type {GraphRecord | null} */
  graph: null,
};

/** @type {Record<string, (record: any) => void>} */
const receivers = {
  /** @param {ReportRecord} record */
  report(record) {
    nameRows(record.rows);
    store.report = record;
    record.bases.forEach(([name, fields]) => store.bases.set(name, fields));
    record.saes.forEach((sae) => store.saes.set(sae.slug, sae));
  },
  /** @param {VocabularyRecord} record */
  vocabulary(record) {
    for (const { token, text, special } of allNamed("token", record.tokens)) {
      store.tokens.set(token, text);
      if (special) store.special.add(token);
    }
    for (const { run, pieces } of allNamed("joint", record.joints)) {
      const joint = { run, pieces: allNamed("piece", pieces) };
      store.joints.set(run[0], [...(store.joints.get(run[0]) || []), joint]);
    }
  },
  /** @param {IndexRecord} record */
  latents(record) {
    const rows = allNamed("latent", record.rows);
    store.tables.set(record.sae, { ...record, rows, byLatent: new Map(rows.map((row) => [row.latent, row])) });
  },
  /** @param {ShardRecord} record */
  shard(record) {
    const byLatent = new Map(record.latents.map((item) => [item.latent, item]));
    store.shards.set(record.sae + "/" + record.shard, { ...record, byLatent });
  },
  /** @param {GraphRecord} record */
  graph(record) {
    store.graph = record;
  },
  /** @param {PageRecord} record */
  page(record) {
    store.pages.set(record.page, { ...record, blocks: new Map(record.blocks) });
  },
  /** @param {BlockRecord} record */
  block(record) {
    store.pages.get(record.page)?.blocks.set(record.id, record.block[0]);
  },
  /** @param {TextRecord} record */
  text(record) {
    for (const { sequence, tokens, readers } of allNamed("sequence", record.sequences)) {
      store.sequences.set(sequence, tokens);
      if (readers) store.readers.set(sequence, readers);
    }
  },
};

/**
 * Keeps one record; of a kind that is not known it keeps nothing.
 * @param {AnyRecord} record
 */
export function receive(record) {
  const known = Object.hasOwn(receivers, record.kind) ? receivers[record.kind] : null;
  if (known) known(record);
}

const early = Array.isArray(self.saereport) ? self.saereport : [];
self.saereport = { push: receive };
early.forEach(receive);
