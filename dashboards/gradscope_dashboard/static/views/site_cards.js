// The pictures of a layer's sites side by side: a card for each site of each run of which there is an answer.

import { h } from '../dom.js';
import { name } from '../format.js';
import { MOST_COLUMNS } from '../state.js';
import { createFigures } from './figures.js';
import { runTitle } from './run_title.js';

/** @typedef {import('../types.js').Scene} Scene */
/** @typedef {{run: string, sites: {key: string, units: number}[]}[]} SitesOfRuns */

/**
 * Return a function that shows a card for each site of which `answerOf` returns something, and returns both.
 * @template {{element: HTMLElement, remove: () => void, head: HTMLElement}} C
 * @param {HTMLElement} container
 * @param {() => C} create
 * @returns {<A>(scene: Scene, sites: SitesOfRuns,
 *   answerOf: (run: import('../types.js').RunInfo, site: string) => A | null) => {card: C, answer: A}[]}
 */
export function createSiteCards(container, create) {
  const cards = createFigures(container, create);
  return (scene, sitesOfRuns, answerOf) => {
    const found = sitesOfRuns.slice(0, MOST_COLUMNS).flatMap(({ run, sites }) => {
      const info = scene.chosen.find((known) => known.run === run);
      return sites.flatMap((site) => {
        const answer = info ? answerOf(info, site.key) : null;
        return info && answer !== null ? [{ key: JSON.stringify([run, site.key]), info, site, answer }] : [];
      });
    });
    cards.arrange(found.map(({ key }) => ({ key })));
    return found.flatMap(({ key, info, site, answer }) => {
      const card = cards.get(key);
      if (!card) return [];
      const other = site.key !== scene.state.layer && h('span', { class: 'note' }, name(site.key));
      card.head.replaceChildren(runTitle(scene, info, other));
      return [{ card, answer }];
    });
  };
}
