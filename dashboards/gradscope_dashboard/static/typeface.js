// TensorBoard's typeface, Roboto: a page in a tab does not inherit it, but may load it from the same server.

/** Take over the declarations of Roboto that TensorBoard's own page has, where it can be read. */
export function adoptTypeface() {
  try {
    if (window.parent === window) return;
    const rules = Array.from(window.parent.document.styleSheets)
      .flatMap((sheet) => Array.from(sheet.cssRules))
      .map((rule) => rule.cssText)
      // Only what lies on this server: no request may leave the machine.
      .filter(
        (text) => /^@font-face \{ font-family: "?Roboto"?;/.test(text) && !/url\((?!"?(?:\/[^/]|data:))/.test(text),
      );
    const style = document.createElement('style');
    style.textContent = [...new Set(rules)].join('\n');
    document.head.append(style);
  } catch {
    // A page of another origin cannot be read; the system's typeface serves.
  }
}
