// Making elements: text is only ever set as text, so that a name which is markup stays a name.

/**
 * @typedef {Node | string | number | null | false | undefined} Child
 */

/**
 * Return a new element.
 *
 * Keys of `properties` that begin with `on` are listeners, `class` and those with a hyphen are attributes, the others
 * are properties of the element.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, unknown> | null} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === 'class' || name === 'role' || name === 'for' || name.includes('-')) {
      if (value !== null && value !== false) element.setAttribute(name, String(value));
    } else /** @type {any} */ (element)[name] = value;
  }
  element.append(...nodes(children));
  return element;
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function nodes(children) {
  return children
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

/**
 * Put `children` in the place of what `parent` holds, keeping the focus and which details are open by their `data-key`.
 * @param {HTMLElement} parent
 * @param {...Child} children
 */
export function replaceChildren(parent, ...children) {
  const active = document.activeElement;
  const focused = active instanceof HTMLElement && parent.contains(active) ? active.dataset.key : undefined;
  const open = new Map(
    Array.from(parent.querySelectorAll('details'), (details) => [details.dataset.key, details.open]),
  );
  parent.replaceChildren(...nodes(children));
  for (const details of parent.querySelectorAll('details'))
    details.open = open.get(details.dataset.key) ?? details.open;
  if (focused !== undefined) byKey(parent, focused)?.focus({ preventScroll: true });
}

/**
 * @param {HTMLElement} parent
 * @param {string} key
 * @returns {HTMLElement | undefined}
 */
export function byKey(parent, key) {
  return Array.from(/** @type {NodeListOf<HTMLElement>} */ (parent.querySelectorAll('[data-key]'))).find(
    (element) => element.dataset.key === key,
  );
}

/**
 * Return a function that calls `change` with its argument only when that argument differs from the last one.
 * @template T
 * @param {(value: T) => void} change
 * @returns {(value: T) => void}
 */
export function whenChanged(change) {
  /** @type {string | undefined} */
  let last;
  return (value) => {
    const now = JSON.stringify(value);
    if (now === last) return;
    last = now;
    change(value);
  };
}

/**
 * Return a function that calls `change` only when one of its arguments is another than the last time.
 * @template {unknown[]} A
 * @param {(...values: A) => void} change
 * @returns {(...values: A) => void}
 */
export function whenReplaced(change) {
  /** @type {A | undefined} */
  let last;
  return (...values) => {
    if (last && values.length === last.length && values.every((value, index) => Object.is(value, last?.[index])))
      return;
    last = values;
    change(...values);
  };
}
