// What several parts of a page share while it is open, and who is told when it changes.

/** @import { LatentKey } from "../types" */

export const session = {
  /** The pinned latents as the address has them. */
  pins: "",
  /** @type {LatentKey[]} */
  pinned: [],
  /** Whether a link of this page is being followed. */
  leaving: false,
  /** Whether the page is laid out for printing. */
  paper: false,
};

/** Functions to be called. */
export const listeners = {
  /** When a page goes to paper, and when it comes back. @type {(() => void)[]} */
  paper: [],
  /** When the pins change. @type {(() => void)[]} */
  pins: [],
  /** Each time that a latent's article is shown. @type {((article: HTMLElement, latent: number, hidden: boolean) => void)[]} */
  latent: [],
};
