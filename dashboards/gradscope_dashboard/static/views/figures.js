// Figures side by side: one a key, made when its key comes, and taken away with all that is held of it when it goes.

import { whenChanged } from '../dom.js';

/**
 * @template {{key: string}} K
 * @template {{element: HTMLElement, remove: () => void}} F
 * @param {HTMLElement} container
 * @param {(about: K) => F} create
 * @returns {{arrange: (list: K[]) => void, get: (key: string) => F | undefined}}
 */
export function createFigures(container, create) {
  /** @type {Map<string, F>} */
  const made = new Map();
  return {
    arrange: whenChanged((/** @type {K[]} */ list) => {
      const keys = new Set(list.map(({ key }) => key));
      for (const [key, figure] of made) {
        if (keys.has(key)) continue;
        figure.remove();
        made.delete(key);
      }
      for (const about of list) if (!made.has(about.key)) made.set(about.key, create(about));
      container.replaceChildren(...list.flatMap(({ key }) => made.get(key)?.element ?? []));
    }),
    get: (key) => made.get(key),
  };
}
