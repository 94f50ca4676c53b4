// The part of plotly.js that the tab uses, for the type check: the library is served as a script, without types.

declare const Plotly: {
  react(element: HTMLElement, data: object[], layout: object, config?: object): Promise<unknown>;
  relayout(element: HTMLElement, change: object): Promise<unknown>;
  toImage(figure: object, options: object): Promise<string>;
  purge(element: HTMLElement): void;
  Plots: { resize(element: HTMLElement): void };
};
