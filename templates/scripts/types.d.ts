// Types of what the modules hand to each other. What the data scripts hold is in records.d.ts.
import type * as R from "./records";

declare global {
  /** Before a page's code: the records that came first. After it: what takes records. */
  var saereport: R.AnyRecord[] | Receiver | undefined;
  /** The vendored library; there once its script is loaded. */
  var Plotly: {
    react(node: Plot, data: Trace[], layout: Layout, config: Fields): Promise<unknown>;
    purge(node: Plot): void;
  };
}

export interface Receiver {
  push: (record: R.AnyRecord) => void;
  inspect?: Fields;
}

/** Values by name, of which nothing is known. */
export type Fields = Record<string, any>;

// ---- data, as the page keeps it

export interface Joint {
  run: number[];
  pieces: R.PieceRow[];
}

export interface Table extends Omit<R.IndexRecord, "rows"> {
  rows: R.LatentRow[];
  byLatent: Map<number, R.LatentRow>;
}

export interface Shard extends R.ShardRecord {
  byLatent: Map<number, R.LatentRecord>;
}

/** What is drawn on a page: blocks by their key, and the words of its prompt. */
export interface PageData {
  page: string;
  text?: string[];
  blocks: Map<string, any>;
}

/** A latent by its SAE. */
export interface LatentKey {
  slug: string;
  latent: number;
}

/** What can be downloaded: the names of columns, and rows of their values. */
export interface DataTable {
  columns: string[];
  rows: (string | number | null | undefined)[][];
}

// ---- elements with more than elements have

/** What shows a block; `controls` go to its header, `follow` is called when the view changes. */
export interface BlockNode extends HTMLElement {
  controls?: Node[];
  follow?: () => void;
}

/** An element in which the library draws. */
export interface Plot extends HTMLElement {
  /** Draws it again. */
  redraw?: () => unknown;
  /** Whether it has to be drawn again when it is seen. */
  stale?: boolean;
  /** Whether it is drawn without the library. */
  bare?: boolean;
  follow?: () => void;
  on?: (name: string, action: (event: any) => void) => void;
  _fullLayout?: { xaxis: { _length: number; p2d: (x: number) => number }; _size: { l: number; t: number; h: number } };
}

/** What the library says of the pointer. */
export interface PlotEvent {
  points: any[];
  event?: MouseEvent;
}

// ---- figures

export type Colours = Record<string, string>;
export type Layout = Fields;

export interface Trace extends Fields {
  type?: string;
  /** The role of its colour. */
  meta?: string;
}

/** Bars at equal distances. */
export interface Bars extends Trace {
  x0?: number;
  dx?: number;
  y: number[];
}

/** One of the views of a figure. */
export interface View {
  label: string;
  data: any[];
  columns?: string[];
  layout?: Layout;
  /** Bins in a doubling, or in a factor of ten; without either they are of equal width. */
  octaves?: number;
  decades?: number;
  note?: string;
  v?: Record<string, string | number>;
  unit?: number;
  prefix?: string;
}

export interface HeatTrace extends Trace {
  type: "heatmap";
  z: (number | null)[][];
}

export interface PointTrace extends Trace {
  type: "scatter";
  mode: string;
  x: number[];
  y: number[];
}

// ---- blocks; see saereport/site/blocks.py

/** What a block is about. */
export interface Context extends Pick<R.LatentRecord, "latent" | "max"> {
  sae: string;
  blind: boolean;
}

interface Named {
  b: string;
  base?: string;
  title?: string;
}

export interface ListBlock extends Named {
  columns?: string[];
  formats?: string[];
  /** The column that is drawn as bars. */
  bar?: number;
  rows: number[][];
  sae?: string;
}

/** Text, or lines of it. */
export interface TextBlock extends Partial<Named> {
  text?: string;
  lines?: string[];
}

/** A line that unfolds a block. */
export interface Fold {
  title: string;
  lead?: BlockCell[];
  note?: string;
  open?: boolean;
}

export interface FactsBlock extends Named {
  names: string[];
  values: (string | number)[];
  notes?: string[];
}

export interface FigureBlock extends Partial<Named> {
  summary: string;
  v?: Record<string, string | number>;
  views: View[];
  log?: string;
  choice?: string;
  events?: Record<string, (event: any) => void>;
}

/** A text, or a name with where more is said of it. */
export type BlockCell = string | CellName;

export interface CellName {
  text: string;
  href?: string;
  token?: string;
  position?: number;
  gloss?: string;
}

/** A block that is drawn: its sentence is filled from `v`. */
export interface DrawnBlock extends Partial<Named> {
  summary?: string;
  v?: Record<string, string | number>;
}

export interface TableBlock extends Omit<Partial<Named>, "title"> {
  title?: BlockCell;
  summary?: string;
  v?: Record<string, string | number>;
  columns: string[];
  rows: BlockCell[][];
}

/** One of the views of a dense heatmap: numbers by row, as multiples of its unit. */
export interface HeatView {
  label: string;
  rows: string[];
  columns: string[];
  z: (number | null)[][];
  unit?: number;
  /** What the columns are. */
  x?: string;
  note?: string;
  v?: Record<string, string | number>;
  /** Cells, as column and row. */
  outlined?: [number, number][];
  /** A value for each of the block's words. */
  strip?: number[];
}

/** What a heatmap says of cells: those without a value, and those with an outline. */
export interface HeatKey extends DrawnBlock {
  missing?: string;
  outline?: string;
}

export interface DenseHeatmap extends HeatKey {
  views: HeatView[];
  choice?: string;
  words?: string[];
}

/** Rows and columns are a place among the names of their side, and a position among the words. */
export interface SparseHeatmap extends HeatKey {
  words: string[];
  names: { rows: CellName[]; columns: CellName[] };
  rows: [number, number][];
  columns: [number, number][];
  x: number[];
  y: number[];
  value: number[];
  quantity: string;
  product: string;
  row_values: { name: string; values: number[] };
  column_values: { name: string; values: number[] };
  /** Pairs of positions, of a column and a row. */
  outlined: [number, number][];
  one_by_one: boolean;
  across: boolean;
  more: { names: string[]; rows: number[][] };
}

export type HeatmapBlock = DenseHeatmap | SparseHeatmap;

export interface LinesBlock extends DrawnBlock {
  labels: string[];
  /** Where each value stands, where the x axis has numbers; what that axis is called. */
  places?: number[];
  x?: string;
  y: string;
  /** The ticks of a logarithmic y axis. */
  log?: number[];
  levels?: { name: string; value: number }[];
  span?: { name: string; from: number; to: number };
  series: { key: string; name: BlockCell; values: number[] }[];
  overlay?: string;
  /** Of other pages: data script, page, what it is called. */
  overlays?: [string, string, string][];
}

/** One number of every latent: packed places between the ends of an axis. */
export interface CloudAxis {
  name: string;
  log: boolean;
  low: number;
  high: number;
  values: string;
}

export interface CloudBlock {
  b: "cloud";
  base?: string;
  sae: string;
  n: number;
  /** Empty where they are numbered from 0 on. */
  latents: number[];
  axes: CloudAxis[];
  /** Of each plot the places of its x and y. */
  plots: [number, number][];
  summary: string;
  groups: { name: string; role: string; rows: string }[];
  /** Rows of latents that have a page, with their labels. */
  shown: [number, string][];
  /** What else is said of a latent, by its row. */
  notes: Record<string, string>;
}

export interface ScatterBlock extends DrawnBlock {
  x: string;
  y: string;
  /** What the diagonal is called; empty without one. */
  diagonal?: string;
  /** A symbol is one of Plotly's. */
  series: { name: string; role: string; points: [number, number][]; symbol?: string; small?: boolean }[];
  /** What each role stands for, in words. */
  roles?: Record<string, string>;
  /** Whether a point says which series it is of. */
  named?: boolean;
}

export interface Group {
  group: string;
  range: R.RangeRow | null;
  examples: R.ExampleRow[];
}

export interface ExamplesBlock extends Named {
  groups: { group: string; range: R.Row<"range"> | null; examples: R.Row<"example">[] }[];
  /** Inner edges of the groups by quantile, where the run says them. */
  quantiles?: number[];
}

export interface AttributionBlock extends Named {
  layer: number;
  note: string;
  examples: R.Row<"attribution">[];
}

export interface InfluencesBlock extends Named {
  saes: string[];
  examples: R.Row<"influences">[];
}

/** An example, and how many others of its peak token it stands for. */
export interface Folded {
  example: R.ExampleRow;
  folded: number;
}

/** By what tokens are coloured: activations by position, and the largest of the latent. */
export interface Eyes {
  active: Map<number, number>;
  max: number;
  name?: string;
}

// ---- the reader's own

export interface Note {
  star: boolean;
  label: string;
  note: string;
  source: string;
}

/** A line of a file of explanations. */
export interface Explanation {
  index: number;
  description?: string;
  source: string;
  sae: string;
  star?: boolean;
  note?: string;
}

/** What a latent can be marked with. */
export type Mark = "star" | "pin";

/** How examples are read. */
export interface Reading {
  cut: string;
  range: [number, number] | null;
  unique: boolean;
}

// ---- the table of latents

export type End = number | null;

export interface Filters {
  q: string;
  tokens: string;
  raises: string;
  label: string;
  latent: [End, End];
  density: [End, End];
  max: [End, End];
  score: [End, End];
  /** What else a row has to be: starred, labelled, pinned. */
  only: Set<string>;
  sort: SortKey[];
}

export interface SortKey {
  name: SortName;
  down: boolean;
}

export type SortName = "latent" | "marked" | "density" | "max" | "score" | "shape" | "tokens" | "raises" | "label";

/** What else sets the range of densities, or is told of it. */
export interface TableView {
  density(low: End, high: End): void;
  onDensity(watch: (range: [End, End]) => void): void;
  onShown(watch: (rows: R.LatentRow[]) => void): void;
}

// ---- attribution graphs

export type Card = Omit<R.CardRecord, "examples"> & { examples: R.CardExampleRow[] };

export interface GraphNode extends Omit<R.ErrorNodeRow, "kind"> {
  kind: "embedding" | "latent" | "error" | "logit";
  /** Its place in the list of nodes. */
  place: number;
  /** The latent, or of a token or an output the token. */
  latent: number;
  position: number;
  card: Card | null;
  inputs: GraphLink[];
  outputs: GraphLink[];
  /** Of a latent. */
  activation: number;
  /** Of an output. */
  probability: number;
  /** Of an output or a token, in words. */
  words: string;
}

export interface GraphLink {
  source: GraphNode;
  target: GraphNode;
  weight: number;
  /** Comparable between targets. */
  score: number;
  rank: number;
}

export interface GraphModel {
  record: R.GraphRecord;
  saes: R.GraphSaeRow[];
  checks: R.GraphCheckRow[];
  nodes: GraphNode[];
  links: GraphLink[];
  strongest: GraphLink[];
  byId: Map<string, GraphNode>;
}

export interface GraphState {
  links: number;
  influence: number;
  errors: boolean;
  near: boolean;
  paths: boolean;
  trace: boolean;
  pinned: number | null;
  groups: { name: string; members: number[] }[];
}

/** What is drawn as one thing: a node, or a group. */
export interface GraphItem extends Shape {
  node: GraphNode | null;
  group: { name: string; members: number[] } | null;
  members: GraphNode[];
  large: boolean;
  x: number;
  y: number;
  column: number;
  row: GraphRow;
  box: NodeBox;
  there: boolean;
}

/** The shape of an item: its kind, size and text; `k` is how much larger it is drawn. */
export interface Shape {
  kind: GraphNode["kind"] | "group";
  text: string;
  w: number;
  h: number;
  k: number;
  r: number;
}

/** The element of an item. */
export interface NodeBox extends SVGElement {
  item?: GraphItem;
}

/** A link between items. */
export interface Edge {
  source: GraphItem;
  target: GraphItem;
  weight: number;
  score: number;
  rank: number;
}

interface Line {
  items: GraphItem[];
  w: number;
  h: number;
}

export interface Cell {
  items: GraphItem[];
  lines: Line[];
}

export interface GraphRow {
  /** Layer and place of the SAE. */
  layer: number;
  sae: number;
  cells: Map<number, Cell>;
  main: boolean;
  used: boolean;
  place: number;
  h: number;
  y: number;
  full: number;
  middle: number;
}

export interface GraphColumn {
  x: number;
  w: number;
  busy: boolean;
}

export interface GraphLayout {
  items: GraphItem[];
  rows: GraphRow[];
  columns: GraphColumn[];
  W: number;
  H: number;
  /** The item of a node's place. */
  of: Map<number, GraphItem>;
  edges: Edge[];
}
