// Histograms laid on rows common to all steps, as on the report page: their values, and the share of the entries in each.

/** @typedef {import('./types.js').Histograms} Histograms */

/** Rows of the picture. */
export const ROWS = 90;
/** How many times the usual range of a step the picture spans at most: one that exploded would hide the others. */
const WIDEST = 20;
/** Colours tell shares apart from this on: one of the 1,024 entries that a histogram samples at most. */
export const LEAST_SHARE = 1e-3;

/**
 * @typedef {object} Spread
 * @property {Float32Array} shares Share of a step's entries, `ROWS` rows from the largest value down, one column a step.
 * @property {Float32Array} tones Their powers of ten, which colours show; NaN where none lie.
 * @property {number} low
 * @property {number} high
 */

/** @type {WeakMap<Histograms, {low: number, high: number}>} */
const limits = new WeakMap();

/**
 * Return the values between which the entries lie, without the ends of steps far beyond the usual.
 * @param {Histograms} answer
 * @returns {{low: number, high: number}}
 */
export function limitsOf(answer) {
  const before = limits.get(answer);
  if (before) return before;
  const steps = answer.steps.map((_, column) => binsOf(ofStep(answer, column))).filter((bins) => bins.length > 0);
  const ends = steps.map((bins) => ({
    low: Math.min(...bins.map(([left]) => left)),
    high: Math.max(...bins.map(([, right]) => right)),
  }));
  let [low, high] = [Math.min(...ends.map((end) => end.low)), Math.max(...ends.map((end) => end.high))];
  const usual = median(ends.map((end) => end.high - end.low));
  if (usual > 0 && high - low > WIDEST * usual) {
    const centre = median(ends.map((end) => (end.low + end.high) / 2));
    low = Math.max(low, centre - (WIDEST / 2) * usual);
    high = Math.min(high, centre + (WIDEST / 2) * usual);
  }
  if (ends.length === 0) [low, high] = [0, 0];
  const around = low < high ? 0 : Math.max(Math.abs(low), 1) / 2;
  const found = { low: low - around, high: high + around };
  limits.set(answer, found);
  return found;
}

/**
 * @param {number[]} values
 * @returns {number}
 */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.slice(Math.ceil(sorted.length / 2) - 1, Math.floor(sorted.length / 2) + 1);
  return middle.reduce((sum, value) => sum + value, 0) / middle.length;
}

/**
 * @param {Histograms} answer
 * @param {number} column
 * @returns {Float32Array}
 */
function ofStep({ values, bins }, column) {
  return values.subarray(column * bins * 3, (column + 1) * bins * 3);
}

/** @type {WeakMap<Histograms, Spread>} */
const spreads = new WeakMap();

/**
 * Return the histograms on bins common to all steps; what a bin counts is spread evenly over its width.
 * @param {Histograms} answer
 * @param {number} low
 * @param {number} high
 * @returns {Spread}
 */
export function spreadOf(answer, low, high) {
  const before = spreads.get(answer);
  if (before && before.low === low && before.high === high) return before;
  const width = answer.steps.length;
  const shares = new Float32Array(ROWS * width);
  const tones = new Float32Array(ROWS * width);
  for (let column = 0; column < width; column += 1) {
    const rows = sharesOf(ofStep(answer, column), low, high);
    rows.forEach((share, row) => {
      shares[row * width + column] = share;
      tones[row * width + column] = share > 0 ? Math.log10(Math.max(share, LEAST_SHARE)) : NaN;
    });
  }
  const spread = { shares, tones, low, high };
  spreads.set(answer, spread);
  return spread;
}

/**
 * Return the share of the entries in each row; what lies beyond the picture is counted at its edge: none is lost.
 * @param {Float32Array} values Left edge, right edge and count, again and again.
 * @param {number} low
 * @param {number} high
 * @returns {number[]} From the largest value down; all 0 where there are no entries.
 */
export function sharesOf(values, low, high) {
  const rows = new Array(ROWS).fill(0);
  const size = (high - low) / ROWS;
  const bins = binsOf(values);
  const total = bins.reduce((sum, bin) => sum + bin[2], 0);
  for (const [left, right, count] of bins) {
    const first = Math.min(ROWS - 1, Math.max(0, Math.floor((left - low) / size)));
    const last = Math.min(ROWS - 1, Math.max(first, Math.ceil((right - low) / size) - 1));
    let passed = 0;
    for (let row = first; row <= last; row += 1) {
      // The first row takes all that lies below its upper edge, the last all that is left.
      const below = row === last ? 1 : Math.min(1, Math.max(passed, (low + (row + 1) * size - left) / (right - left)));
      rows[ROWS - 1 - row] += ((below - passed) * count) / total;
      passed = below;
    }
  }
  return rows;
}

/**
 * @param {Float32Array} values
 * @returns {[left: number, right: number, count: number][]} The bins that hold entries, between finite edges.
 */
function binsOf(values) {
  /** @type {[number, number, number][]} */
  const bins = [];
  for (let at = 0; at < values.length; at += 3) {
    const bin = /** @type {[number, number, number]} */ (/** @type {unknown} */ (values.subarray(at, at + 3)));
    if (bin[2] > 0 && Number.isFinite(bin[0]) && Number.isFinite(bin[1])) bins.push(bin);
  }
  return bins;
}
