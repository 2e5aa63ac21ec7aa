// Fetches an image's true values (the stream of screening/studies/pixels.py) and hands them to
// Cornerstone as an image of its own scheme, "xray:<image id>".
import { cache, imageLoader, metaData } from "@cornerstonejs/core";
import { widthOf } from "./window.mjs";

const MARK = "THORAPIX";
const ARRAYS = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  float32: Float32Array,
};

const known = new Map(); // image id → { url, about }

export function imageIdOf(key) {
  return "xray:" + key;
}

function keyOf(imageId) {
  return imageId.slice("xray:".length);
}

/** What the stream says of an image; undefined until it has been loaded. */
export function aboutImage(key) {
  return known.get(key)?.about;
}

export function announceImage(key, url) {
  if (!known.has(key)) known.set(key, { url, about: undefined });
}

/** Ask for an image's values before anything is there to draw them. */
export function fetchAhead(key, url) {
  announceImage(key, url);
  const entry = known.get(key);
  entry.stream = fetchStream(url);
  entry.stream.catch(() => {}); // Whoever opens the image is told.
}

async function fetchStream(url) {
  const answer = await fetch(url, { credentials: "same-origin" });
  if (!answer.ok || new URL(answer.url).pathname !== new URL(url, location.href).pathname) {
    throw new Error("the grey values were not sent: " + answer.status);
  }
  return answer.arrayBuffer();
}

function parse(buffer) {
  const head = new Uint8Array(buffer, 0, 12);
  if (String.fromCharCode(...head.subarray(0, 8)) !== MARK) throw new Error("not a picture's values");
  const length = new DataView(buffer).getUint32(8, true);
  const about = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 12, length)));
  const values = new ARRAYS[about.type](buffer, 12 + length, about.rows * about.columns);
  return { about, values };
}

// What lies around the picture is black whatever the window: as far out as the values go.
function blacken(about, values) {
  if (!about.padding) return;
  const [low, high] = about.padding;
  const black = about.inverted ? about.maximum : about.minimum;
  for (let i = 0; i < values.length; i += 1) {
    if (values[i] >= low && values[i] <= high) values[i] = black;
  }
}

async function load(imageId) {
  const entry = known.get(keyOf(imageId));
  const stream = entry.stream || fetchStream(entry.url);
  entry.stream = undefined; // Its bytes are kept once, in the image.
  const { about, values } = parse(await stream);
  blacken(about, values);
  entry.about = about;
  return asImage(imageId, about, values);
}

function spacingOf(about) {
  return [about.spacing.row_mm || 1, about.spacing.column_mm || 1];
}

function asImage(imageId, about, values) {
  const [row, column] = spacingOf(about);
  const opening = about.windows[0];
  return {
    imageId,
    minPixelValue: about.minimum,
    maxPixelValue: about.maximum,
    slope: 1,
    intercept: 0,
    windowCenter: opening.centre,
    windowWidth: widthOf(opening),
    voiLUTFunction: about.function,
    rows: about.rows,
    columns: about.columns,
    height: about.rows,
    width: about.columns,
    color: false,
    rgba: false,
    numberOfComponents: 1,
    rowPixelSpacing: row,
    columnPixelSpacing: column,
    invert: about.inverted,
    photometricInterpretation: about.inverted ? "MONOCHROME1" : "MONOCHROME2",
    sizeInBytes: values.byteLength,
    dataType: values.constructor.name,
    imageFrame: { photometricInterpretation: about.inverted ? "MONOCHROME1" : "MONOCHROME2" },
    getPixelData: () => values,
    getCanvas: undefined,
  };
}

function describe(type, imageId) {
  if (typeof imageId !== "string" || !imageId.startsWith("xray:")) return undefined;
  const about = aboutImage(keyOf(imageId));
  if (!about) return undefined;
  const [row, column] = spacingOf(about);
  const bits = about.type === "uint8" ? 8 : about.type === "float32" ? 32 : 16;
  switch (type) {
    case "imagePixelModule":
      return {
        bitsAllocated: bits,
        bitsStored: bits,
        highBit: bits - 1,
        samplesPerPixel: 1,
        pixelRepresentation: about.signed ? 1 : 0,
        photometricInterpretation: about.inverted ? "MONOCHROME1" : "MONOCHROME2",
        modality: "DX",
      };
    case "imagePlaneModule":
      return {
        frameOfReferenceUID: imageId,
        rows: about.rows,
        columns: about.columns,
        imageOrientationPatient: [1, 0, 0, 0, 1, 0],
        rowCosines: [1, 0, 0],
        columnCosines: [0, 1, 0],
        imagePositionPatient: [0, 0, 0],
        sliceThickness: 1,
        sliceLocation: 0,
        pixelSpacing: [row, column],
        rowPixelSpacing: row,
        columnPixelSpacing: column,
        usingDefaultValues: false,
      };
    case "generalSeriesModule":
      return { modality: "DX" };
    case "modalityLutModule":
      return { rescaleSlope: 1, rescaleIntercept: 0 };
    case "voiLutModule":
      return {
        windowCenter: [about.windows[0].centre],
        windowWidth: [about.windows[0].width],
        voiLUTFunction: about.function,
      };
    default:
      return undefined;
  }
}

export function registerPixels() {
  imageLoader.registerImageLoader("xray", (imageId) => ({ promise: load(imageId) }));
  metaData.addProvider(describe, 1000);
  // Two big pictures as they are and as textures; what was looked at before may go.
  cache.setMaxCacheSize(768 * 1024 * 1024);
}
