// Numbers, steps, durations and names as people read them.

export const NOT_RECORDED = 'not recorded';

/**
 * Return a number with about three digits: `0.042`, `1,234`, `1.1e-6`.
 * @param {number | null | undefined} value
 * @param {string} [unit] `fraction` is shown as per cent.
 * @returns {string}
 */
export function number(value, unit = '') {
  if (value === null || value === undefined || Number.isNaN(value)) return NOT_RECORDED;
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  if (unit === 'fraction') return percent(value);
  return unit === '' || unit === '0/1' ? plain(value) : `${plain(value)} ${unit}`;
}

/**
 * @param {number} value
 * @returns {string}
 */
function plain(value) {
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (Number.isInteger(value) && size < 1e7) return whole(value);
  if (size < 1e-3 || size >= 1e5)
    return value
      .toExponential(1)
      .replace('e+', 'e')
      .replace('-', value < 0 ? '−' : '-');
  return String(Number(value.toPrecision(3))).replace('-', '−');
}

/**
 * Return a share in whole per cents, never rounded to none or all: as the report page does.
 * @param {number} value
 * @returns {string}
 */
function percent(value) {
  if (value > 0 && value <= 0.005) return '<1%';
  if (value >= 0.995 && value < 1) return '>99%';
  return `${rounded(100 * value)}%`;
}

/**
 * Return what part of a training something took, in per cent of at least two digits, as the report page does.
 * @param {number} part
 * @returns {string}
 */
export function share(part) {
  return part >= 0.0995 ? `${rounded(100 * part)}%` : `${Number((100 * part).toPrecision(2))}%`;
}

/**
 * Return the nearest whole number, of two the even one: as the report page rounds.
 * @param {number} value
 * @returns {number}
 */
function rounded(value) {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}

/**
 * Return a whole number with its thousands set apart.
 * @param {number} value
 * @returns {string}
 */
export function whole(value) {
  return String(Math.round(value))
    .replace(/\B(?=(\d{3})+$)/g, ',')
    .replace('-', '−');
}

/**
 * Return a span of steps: `step 5`, or `steps 10–855`.
 * @param {number} first
 * @param {number} last
 * @returns {string}
 */
export function steps(first, last) {
  return first === last ? `step ${whole(first)}` : `steps ${whole(first)}–${whole(last)}`;
}

/**
 * Return a duration: `12 ms`, `4.2 s`, `3 min 10 s`, `2 h 5 min`.
 * @param {number | null | undefined} seconds
 * @returns {string}
 */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NOT_RECORDED;
  if (seconds === 0) return '0 s';
  if (seconds < 0.9995) return `${Number((1000 * seconds).toPrecision(2))} ms`;
  if (seconds < 60) return `${Number(seconds.toPrecision(2))} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/**
 * Return how one size compares with another: `1,100,000 × smaller`.
 * @param {number} value
 * @param {number} other
 * @returns {string} Empty where one of them is not a positive number.
 */
export function times(value, other) {
  if (!(value > 0) || !(other > 0) || !Number.isFinite(value) || !Number.isFinite(other)) return '';
  const factor = value > other ? value / other : other / value;
  if (factor < 1.05) return 'about equal';
  const shown =
    factor < 10
      ? String(Number(factor.toPrecision(2)))
      : factor < 1e7
        ? whole(Number(factor.toPrecision(2)))
        : plain(factor);
  return `${shown} × ${value > other ? 'larger' : 'smaller'}`;
}

/**
 * Return a name of a run or layer as it can be shown: control characters become visible, nothing else is changed.
 * @param {string} name
 * @returns {string}
 */
export function name(name) {
  // Visible pictures stand for control characters; overriding the direction of text would let a name pose as another.
  return name
    .replace(/[\u0000-\u001f]/g, (character) => String.fromCharCode(0x2400 + character.charCodeAt(0)))
    .replace(/[\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '\u2421');
}

/**
 * Return `text` with its middle left out where it is longer than `length`; the end, in which names differ, is kept longer.
 * @param {string} text
 * @param {number} length
 * @returns {string}
 */
export function shortened(text, length) {
  const characters = Array.from(text);
  if (characters.length <= length) return text;
  const tail = Math.floor((2 * (length - 1)) / 3);
  return `${characters.slice(0, length - 1 - tail).join('')}…${characters.slice(characters.length - tail).join('')}`;
}

/**
 * Return the id of a rule in words: `vanishing gradient`.
 * @param {string} rule
 * @returns {string}
 */
export function words(rule) {
  return rule.replaceAll('_', ' ').replace('nan or inf', 'NaN or infinity').replace('relu', 'ReLU');
}

/**
 * Return a count with its noun: `1 finding`, `4 findings`.
 * @param {number} count
 * @param {string} noun
 * @returns {string}
 */
export function counted(count, noun) {
  return `${whole(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/**
 * Return the names of a layer's weights as they are called within it: their paths without the folder that all share.
 * @param {string[]} paths
 * @returns {Map<string, string>} By path.
 */
export function withinLayer(paths) {
  const folders = paths.map((path) => path.split('/').slice(0, -1));
  const [first = []] = folders;
  let shared = 0;
  while (shared < first.length && folders.every((folder) => folder[shared] === first[shared])) shared += 1;
  return new Map(paths.map((path) => [path, path.split('/').slice(shared).join('/')]));
}
