// What tests ask an open page for: `saereport.inspect`. No page uses it.
import { tokenCode } from "./blocks/lists.js";
import { fragmentNow, viewAddress } from "./core/address.js";
import { aligned } from "./core/align.js";
import { store } from "./core/data.js";
import { el } from "./core/dom.js";
import { asText } from "./core/format.js";
import { loadTable } from "./core/load.js";
import { thisPage } from "./core/page.js";
import { session } from "./core/state.js";
import { graphView } from "./graph/page.js";
import { endsOf } from "./graph/panel.js";
import { toAxis } from "./latents/brush.js";
import { sentenceAround } from "./latents/reading.js";
import { csv } from "./shell/downloads.js";
import { markdownParts } from "./shell/markdown.js";

/** @import { Receiver } from "./types" */

const receiver = /** @type {Receiver} */ (self.saereport);
receiver.inspect = {
  aligned,
  asText,
  csv,
  el,
  endsOf,
  fragmentNow,
  graphView,
  loadTable,
  markdownParts,
  sentenceAround,
  session,
  store,
  thisPage,
  toAxis,
  tokenCode,
  viewAddress,
};
