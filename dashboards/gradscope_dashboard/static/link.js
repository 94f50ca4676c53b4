// Deep links: what the person looks at, kept in the fragment of TensorBoard's own address.

/**
 * @typedef {object} Link
 * @property {string[] | null} [runs]
 * @property {string | null} [statistic]
 * @property {number | null} [step]
 * @property {string | null} [layer]
 * @property {number | null} [smoothing]
 * @property {import('./types.js').AxisKind | null} [axis]
 * @property {string | null} [filter]
 */

const PREFIX = 'p.gradscope.';

/**
 * Return `fragment` (as `#gradscope&...`) with what `link` says in the place of what it said; other parts are kept.
 * @param {string} fragment
 * @param {Link} link
 * @returns {string}
 */
export function written(fragment, link) {
  const others = parts(fragment).filter((part) => !part.startsWith(PREFIX));
  const values = /** @type {[string, string | null][]} */ ([
    // The names are encoded one by one, so that a comma in a name does not end it.
    ['runs', link.runs ? link.runs.map(encodeURIComponent).join(',') : null],
    ['statistic', link.statistic ?? null],
    ['step', link.step === null || link.step === undefined ? null : String(link.step)],
    ['layer', link.layer ?? null],
    ['smoothing', link.smoothing ? String(link.smoothing) : null],
    ['axis', link.axis ?? null],
    ['filter', link.filter ?? null],
  ]);
  const ours = values.flatMap(([key, value]) => (value === null ? [] : `${PREFIX}${key}=${encodeURIComponent(value)}`));
  return `#${[...others, ...ours].join('&')}`;
}

/**
 * Return what a fragment says; what makes no sense in it is left out.
 * @param {string} fragment
 * @returns {Link}
 */
export function read(fragment) {
  /** @type {Map<string, string>} */
  const found = new Map();
  for (const part of parts(fragment)) {
    const [key = '', value = ''] = part.split(/=(.*)/s);
    if (key.startsWith(PREFIX)) found.set(key.slice(PREFIX.length), decoded(value));
  }
  const step = Number(found.get('step') ?? NaN);
  const smoothing = Number(found.get('smoothing') ?? NaN);
  const axis = found.get('axis');
  const runs = found.get('runs');
  return {
    runs: runs === undefined ? null : runs.split(',').filter(Boolean).map(decoded),
    statistic: found.get('statistic') ?? null,
    step: Number.isInteger(step) && step >= 0 ? step : null,
    layer: found.get('layer') ?? null,
    smoothing: smoothing > 0 && smoothing < 1 ? smoothing : null,
    axis: axis === 'relative' || axis === 'wall' ? axis : null,
    filter: found.get('filter') ?? null,
  };
}

/**
 * @param {string} fragment
 * @returns {string[]}
 */
function parts(fragment) {
  return fragment.replace(/^#/, '').split('&').filter(Boolean);
}

/**
 * @param {string} text
 * @returns {string}
 */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Return the window whose address the person sees: TensorBoard's, or our own where that one is out of reach.
 * @returns {Window}
 */
function addressed() {
  try {
    void window.parent.location.hash;
    return window.parent;
  } catch {
    return window;
  }
}

/**
 * @returns {Link} What the address says now.
 */
export function current() {
  return read(addressed().location.hash);
}

/**
 * Write `link` into the address. TensorBoard is not told: it does nothing with our part of the fragment.
 * @param {Link} link
 */
export function keep(link) {
  const { location, history } = addressed();
  // While another tab of TensorBoard is open, the address is that tab's.
  if (addressed() !== window && !location.hash.startsWith('#gradscope')) return;
  const fragment = written(location.hash, link);
  if (fragment !== location.hash) history.replaceState(history.state, '', fragment);
}

/**
 * Call `followed` when the person enters another address of this tab, `returned` when TensorBoard comes back to it
 * with an address that says nothing of ours.
 * @param {(link: Link) => void} followed
 * @param {() => void} returned
 */
export function whenFollowed(followed, returned) {
  const target = addressed();
  const changed = () => {
    const fragment = target.location.hash;
    if (target !== window && !fragment.startsWith('#gradscope')) return;
    if (fragment.includes(PREFIX)) followed(read(fragment));
    else returned();
  };
  target.addEventListener('hashchange', changed);
  window.addEventListener('pagehide', () => target.removeEventListener('hashchange', changed));
}
