// The data of a report. Data scripts push records to the global list `saereport`; here it becomes
// a receiver, which keeps each record under its kind.
import { allNamed, named, nameRows } from "./rows.js";

/** @import { Fields, GradientMap, Joint, Prompt, Shard, Table } from "../types" */
/** @import { AnyRecord, GraphRecord, IndexRecord, MapPartRecord, MapRecord, PromptRecord, ReportRecord, SaeRecord, ShardRecord, TextRecord, VocabularyRecord } from "../records" */

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
  /** @type {Map<string, Prompt>} */
  prompts: new Map(),
  /** @type {GraphRecord | null} */
  graph: null,
};

/**
 * @param {MapRecord} record
 * @returns {GradientMap}
 */
const mapOf = (record) => ({
  ...record,
  early: allNamed("end", record.early),
  late: allNamed("end", record.late),
  checks: new Map(allNamed("map_check", record.checks).map((check) => [check.cell, check])),
});

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
  /** @param {PromptRecord} record */
  prompt(record) {
    store.prompts.set(record.slug, {
      ...record,
      names: new Map(Object.entries(record.names).map(([name, row]) => [name, named("name", row)])),
      expected: new Map(record.expected),
      logits: new Map(record.logits),
      activations: allNamed("activation", record.activations),
      maps: record.maps.map(mapOf),
      // The type of a figure is not one of Python.
      figures: new Map(/** @type {[string, any][]} */ (record.figures)),
    });
  },
  /** @param {MapPartRecord} record */
  map(record) {
    const prompt = store.prompts.get(record.slug);
    if (prompt) prompt.maps[record.place] = mapOf(record.map[0]);
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
