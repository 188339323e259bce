// Where an induction head would look.
/** @import { Prompt } from "../types" */

/**
 * As `expects` in saereport/site/circuits/prompts_data.py.
 * @param {Prompt} prompt
 * @param {number} early
 * @param {number} late
 */
export function isExpected(prompt, early, late) {
  const second = prompt.first + prompt.period;
  return prompt.period > 0 && second <= late && late < second + prompt.period && early === late - prompt.period + 1;
}
