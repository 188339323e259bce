// Made from saereport/site/records.py by tests/site/test_records.py: run it with
// SAEREPORT_GOLD=write.

/** The values of a row's fields; `named` in core/rows.js names them. */
export type Row<Kind extends keyof Rows> = unknown[] & { readonly of?: Kind };

/** Kinds of rows, with named fields. */
export interface Rows {
  token: TokenRow;
  piece: PieceRow;
  joint: JointRow;
  sequence: SequenceRow;
  latent: LatentRow;
  example: ExampleRow;
  range: RangeRow;
  peak: PeakRow;
  attribution: AttributionRow;
  influence: InfluenceRow;
  influences: InfluencesRow;
  graph_sae: GraphSaeRow;
  error_node: ErrorNodeRow;
  embedding_node: EmbeddingNodeRow;
  latent_node: LatentNodeRow;
  logit_node: LogitNodeRow;
  card_example: CardExampleRow;
  graph_check: GraphCheckRow;
}

/**
 * A token of the vocabulary: its id, how it looks, and whether it is special.
 */
export interface TokenRow {
  token: number;
  text: string;
  special?: number;
}

/**
 * Part of running text: its first token counted within its run, how many, and its text.
 */
export interface PieceRow {
  first: number;
  length: number;
  text: string;
}

/**
 * Tokens that are text only together: their ids, and the pieces that they make.
 */
export interface JointRow {
  run: number[];
  pieces: Row<"piece">[];
}

/**
 * A whole sequence: its number, its tokens, and which latents have an example in it.
 */
export interface SequenceRow {
  sequence: number;
  tokens: string;
  readers?: string;
}

/**
 * A latent in the table of its SAE.
 *
 * `density` is a share of the counted tokens, `max` the largest activation, `tokens` those with
 * the largest share of its activation, `raises` those whose logits it raises most, `spark` one
 * letter a bar of the little histogram from `A` for none, `x` and `y` its place on the map,
 * `score` its output score, null where it has none.
 */
export interface LatentRow {
  latent: number;
  density: number;
  max: number;
  tokens: string;
  raises: string;
  label: string;
  spark: string;
  x: number;
  y: number;
  blind?: number;
  score?: number | null;
}

/**
 * A stored example: where it peaks, its window from `start` on, and all activations there.
 *
 * `places` and `values` are the active positions of the whole sequence and the activations there.
 */
export interface ExampleRow {
  sequence: number;
  peak: number;
  activation: number;
  start: number;
  window: string;
  document: number;
  places: number[];
  values: number[];
}

/**
 * The activations of a group of examples: from, to, tokens in it, share of the active ones.
 *
 * Of an imported group the count is not known, and the share is of all tokens.
 */
export interface RangeRow {
  low: number;
  high: number;
  n_active: number | null;
  share: number;
}

/**
 * Where a top example peaks, and its window from `start` on.
 */
export interface PeakRow {
  sequence: number;
  peak: number;
  start: number;
  window: string;
}

/**
 * An example decomposed: pre-activation = bias + heads = bias + sources.
 *
 * `first` is the offset of the first source from the peak; `where` is null where the run holds no
 * text of the latent.
 */
export interface AttributionRow {
  activation: number;
  pre_activation: number;
  bias: number;
  heads: number[];
  first: number;
  sources: number[];
  where: Row<"peak"> | null;
}

/**
 * What an earlier latent gives: `sae` is its place in the block's list.
 *
 * `shown` says whether the report shows it, `layer` and `head` are -1 for the direct path,
 * `source` is its offset from the peak, `token` the token there, -1 where the run does not tell.
 */
export interface InfluenceRow {
  sae: number;
  latent: number;
  shown: number;
  layer: number;
  head: number;
  source: number;
  token: number;
  value: number;
}

/**
 * An example with what drove it; activation and place are null where the run does not tell.
 */
export interface InfluencesRow {
  activation: number | null;
  where: Row<"peak"> | null;
  rows: Row<"influence">[];
}

/**
 * An SAE of an attribution graph, with the URL to which `/{latent}` is added, or empty.
 */
export interface GraphSaeRow {
  slug: string;
  label: string;
  layer: number;
  neuronpedia: string;
}

/**
 * A node of an attribution graph: what every kind has.
 *
 * `kind` and `sae` are places in their lists, -1 for none; the id ends with the latent and the
 * position; `influence` is the cumulative influence, `reach` as `graph_strength.reach` has it,
 * `feature` the node's number in the exchange format.
 */
export interface ErrorNodeRow {
  id: string;
  kind: number;
  sae: number;
  layer: number;
  influence: number;
  reach: number;
  feature: number;
}

/**
 * A token of the prompt, with its words.
 */
export interface EmbeddingNodeRow {
  id: string;
  kind: number;
  sae: number;
  layer: number;
  influence: number;
  reach: number;
  feature: number;
  words: string;
}

/**
 * An active latent, with its activation and the place of its card, -1 for none.
 */
export interface LatentNodeRow {
  id: string;
  kind: number;
  sae: number;
  layer: number;
  influence: number;
  reach: number;
  feature: number;
  activation: number;
  card: number;
}

/**
 * An output, with its probability and its words.
 */
export interface LogitNodeRow {
  id: string;
  kind: number;
  sae: number;
  layer: number;
  influence: number;
  reach: number;
  feature: number;
  probability: number;
  words: string;
}

/**
 * An example on a card: activation, the window from `start` on, activations in it.
 */
export interface CardExampleRow {
  activation: number;
  start: number;
  window: string;
  places: number[];
  values: number[];
}

/**
 * A link that was ablated: ends as places of nodes, its weight, predicted and true change.
 *
 * `fails` says in words where the prediction fails; empty where it holds.
 */
export interface GraphCheckRow {
  source: number;
  target: number;
  direct: number;
  predicted: number;
  measured: number;
  fails?: string;
}

/**
 * An SAE of the report; `firsts` are the first latents of its pages.
 */
export interface SaeRecord {
  slug: string;
  label: string;
  neuronpedia: string;
  count: number;
  last: number;
  firsts: number[];
}

/**
 * A panel of a latent's page; see `panels.registry.Panel`.
 */
export interface PanelRecord {
  name: string;
  title: string;
  tables: string[];
  wide: boolean;
  reveals_text?: boolean;
}

/**
 * What all pages of a report share; `texts` are the first sequences of the files of text.
 */
export interface ReportRecord {
  title: string;
  fingerprint: string;
  single: boolean;
  texts: number[];
  rows: Record<string, string[]>;
  saes: SaeRecord[];
  panels: PanelRecord[];
  bases: [string, Record<string, any>][];
}

/**
 * The tokens that the run uses.
 */
export interface VocabularyRecord {
  tokens: Row<"token">[];
  joints: Row<"joint">[];
}

/**
 * A file of whole sequences.
 */
export interface TextRecord {
  file: number;
  sequences: Row<"sequence">[];
}

/**
 * The table of an SAE.
 */
export interface IndexRecord {
  sae: string;
  figures: Record<string, Record<string, any>>;
  has_map: boolean;
  rows: Row<"latent">[];
}

/**
 * A latent with its panels: the name of each, and its blocks.
 */
export interface LatentRecord {
  latent: number;
  max: number;
  panels: [string, Record<string, any>[]][];
}

/**
 * A page of latents.
 */
export interface ShardRecord {
  sae: string;
  shard: number;
  latents: LatentRecord[];
}

/**
 * What is drawn on a page: its blocks by their key, and the words of its prompt.
 */
export interface PageRecord {
  page: string;
  text?: string[];
  blocks: [string, Record<string, any>][];
}

/**
 * A block in a file of its own: the page, and the block's key there.
 */
export interface BlockRecord {
  page: string;
  id: string;
  block: Record<string, any>[];
}

/**
 * What an attribution graph's page says of a latent; `clerp` is its name in the export.
 */
export interface CardRecord {
  label: string;
  on: string;
  raises: string;
  max: number;
  href: string;
  blind: boolean;
  examples: Row<"card_example">[];
  clerp?: string;
}

/**
 * An attribution graph; see `circuits.graphs.script`.
 *
 * `target` is the place of the node that the reader asks about. A row of `links` is a target's
 * place, then a source's place and the weight, then for each further source the step from the one
 * before it and the weight.
 */
export interface GraphRecord {
  slug: string;
  tokens: number[];
  target: number;
  saes: Row<"graph_sae">[];
  metadata: Record<string, any>;
  nodes: (Row<"error_node"> | Row<"embedding_node"> | Row<"latent_node"> | Row<"logit_node">)[];
  links: number[][];
  cards: CardRecord[];
  checks: Row<"graph_check">[];
}

/** What a data script pushes. */
export type AnyRecord =
  | (ReportRecord & { kind: "report" })
  | (VocabularyRecord & { kind: "vocabulary" })
  | (TextRecord & { kind: "text" })
  | (IndexRecord & { kind: "latents" })
  | (ShardRecord & { kind: "shard" })
  | (PageRecord & { kind: "page" })
  | (BlockRecord & { kind: "block" })
  | (GraphRecord & { kind: "graph" });
