// Light or dark, as TensorBoard is, and the colours that figures use: all of them tell apart for the colour-blind.

/**
 * @typedef {object} Theme
 * @property {boolean} dark
 * @property {string} ink
 * @property {string} muted
 * @property {string} grid
 * @property {string} surface
 * @property {string} missing What is not recorded.
 * @property {string} marker
 * @property {string[]} runs
 * @property {Record<import('./types.js').Severity, string>} severity
 */

/** Okabe and Ito's colours, in an order in which neighbours differ in lightness too. */
const LIGHT_RUNS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#8a6d00', '#3a8fc4', '#000000'];
const DARK_RUNS = ['#56b4e9', '#e69f00', '#27c299', '#e59ac4', '#f0e442', '#ff8a4c', '#ffffff'];

/** Viridis: even in lightness, so that it reads in grey as well. */
export const SCALE = /** @type {[number, string][]} */ ([
  [0, '#440154'],
  [0.125, '#472d7b'],
  [0.25, '#3b528b'],
  [0.375, '#2c728e'],
  [0.5, '#21918c'],
  [0.625, '#28ae80'],
  [0.75, '#5ec962'],
  [0.875, '#addc30'],
  [1, '#fde725'],
]);

/** Line styles beside the colours, so that lines are told apart without them. */
export const DASHES = ['solid', 'dash', 'dot', 'dashdot', 'longdash'];
export const SYMBOLS = ['circle', 'diamond', 'square', 'triangle-up', 'cross', 'x', 'star'];

/** @type {Theme} */
const LIGHT = {
  dark: false,
  ink: '#212121',
  muted: '#5f6368',
  grid: '#e4e4e4',
  surface: '#ffffff',
  missing: '#d4d4d4',
  marker: '#c2185b',
  runs: LIGHT_RUNS,
  severity: { high: '#b3261e', medium: '#8a5300', low: '#3b5b8c' },
};

/** @type {Theme} */
const DARK = {
  dark: true,
  ink: '#eeeeee',
  muted: '#bdbdbd',
  grid: '#555555',
  surface: '#383838',
  missing: '#5c5c5c',
  marker: '#ff80ab',
  runs: DARK_RUNS,
  severity: { high: '#ff9a90', medium: '#ffc46b', low: '#a9c7f5' },
};

const preferred = matchMedia('(prefers-color-scheme: dark)');

/**
 * @returns {Theme}
 */
export function current() {
  return isDark() ? DARK : LIGHT;
}

/** @returns {boolean} */
function isDark() {
  const body = parentBody();
  return body ? body.classList.contains('dark-mode') : preferred.matches;
}

/** @returns {HTMLElement | null} The body of TensorBoard's page; null where it is not ours to read. */
function parentBody() {
  try {
    return window.parent === window ? null : window.parent.document.body;
  } catch {
    return null;
  }
}

/**
 * Call `changed` whenever TensorBoard, or without it the system, turns light or dark.
 * @param {() => void} changed
 */
export function whenChanged(changed) {
  const body = parentBody();
  if (body) new MutationObserver(changed).observe(body, { attributes: true, attributeFilter: ['class'] });
  preferred.addEventListener('change', changed);
}

/**
 * @param {Theme} theme
 * @param {import('./state.js').State} state
 * @param {string} run
 * @returns {string}
 */
export function colourOf(theme, state, run) {
  return /** @type {string} */ (theme.runs[(state.colours[run] ?? 0) % theme.runs.length]);
}

/**
 * @template T
 * @param {T[]} list
 * @param {import('./state.js').State} state
 * @param {string} run
 * @returns {T}
 */
export function shapeOf(list, state, run) {
  return /** @type {T} */ (list[(state.colours[run] ?? 0) % list.length]);
}
