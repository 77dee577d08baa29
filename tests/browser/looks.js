// What can be seen to be wrong with a page: texts that are hard to read, what is wider than the window, focus that does
// not show. Contrast is that of WCAG 2.2: 4.5 for text and 3 for large text (1.4.3), 3 for the edges of fields and for
// the mark of the focus (1.4.11).

const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

// [red, green, blue] in 0 to 255 and alpha in 0 to 1, of any colour that CSS knows.
function rgba(colour) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
  return [red, green, blue, alpha / 255];
}

function over([r, g, b, alpha], behind) {
  return [r, g, b].map((part, n) => part * alpha + behind[n] * (1 - alpha)).concat(1);
}

// Of the page behind the text of an element.
function background(element) {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const style = getComputedStyle(at);
    if (style.backgroundImage !== "none") throw new Error("a background image, which is not reckoned with here");
    layers.push(rgba(style.backgroundColor));
  }
  const canvasColour = matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
  return layers.reduceRight((behind, layer) => over(layer, behind), canvasColour);
}

function luminance(colour) {
  const [r, g, b] = colour.slice(0, 3).map((part) => {
    const c = part / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(colour, behind) {
  const [dark, bright] = [luminance(over(colour, behind)), luminance(behind)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
}

// Not what is for screen readers alone, or out of the window until it has the focus.
function isSeen(element, rect) {
  if (rect.width === 0 || rect.height === 0 || rect.right <= 0) return false;
  if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) return false;
  for (let at = element; at; at = at.parentElement) {
    if (getComputedStyle(at).clipPath === "inset(50%)") return false;
  }
  return true;
}

function textFault(element, style, text) {
  let opacity = 1;
  for (let at = element; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
  const colour = rgba(style.color);
  colour[3] *= opacity;
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const [is, needed] = [contrast(colour, background(element)), large ? 3 : 4.5];
  return is < needed ? [`contrast ${is.toFixed(2)}, not ${needed}: ${JSON.stringify(text.trim().slice(0, 40))}`] : [];
}

function colourFaults() {
  const faults = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let looked = 0;
  while (texts.nextNode()) {
    const node = texts.currentNode;
    const range = document.createRange();
    range.selectNodeContents(node);
    if (!node.data.trim() || !isSeen(node.parentElement, range.getBoundingClientRect())) continue;
    looked += 1;
    faults.push(...textFault(node.parentElement, getComputedStyle(node.parentElement), node.data));
  }
  for (const element of document.body.querySelectorAll("*")) {
    if (!isSeen(element, element.getBoundingClientRect())) continue;
    for (const part of ["::before", "::after"]) {
      const style = getComputedStyle(element, part);
      const text = style.content.replace(/^"|"$/g, "");
      if (!["none", "normal", ""].includes(text)) faults.push(...textFault(element, style, text));
    }
    if (element.matches("input, select, textarea")) {
      const style = getComputedStyle(element);
      faults.push(...textFault(element, style, element.value || element.name));
      const edge = contrast(rgba(style.borderTopColor), background(element.parentElement));
      if (edge < 3) faults.push(`edge of a field ${edge.toFixed(2)}, not 3: ${element.name}`);
    }
  }
  if (looked === 0) faults.push("no text at all");
  return faults;
}

function layoutFaults() {
  const [is, has] = [document.documentElement.scrollWidth, document.documentElement.clientWidth];
  return is > has ? [`${is} pixels wide in a window of ${has}`] : [];
}

// Of what has the focus now.
function focusFaults() {
  const element = document.activeElement;
  if (element === document.body) return [];
  const name = `${element.tagName.toLowerCase()}#${element.id} ${JSON.stringify(element.innerText?.slice(0, 30) ?? "")}`;
  const style = getComputedStyle(element);
  if (!element.matches(":focus-visible") || style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) {
    return [`the focus does not show: ${name}`];
  }
  const mark = contrast(rgba(style.outlineColor), background(element.parentElement));
  return mark < 3 ? [`mark of the focus ${mark.toFixed(2)}, not 3: ${name}`] : [];
}
