// From pixels of an image (the first pixel's corner at 0/0) to Cornerstone's millimetres and back.
import { getShouldUseCPURendering } from "@cornerstonejs/core";

// Drawn by WebGL, the origin is the middle of the first pixel; drawn by the processor, its corner.
function origin() {
  return getShouldUseCPURendering() ? 0 : 0.5;
}

function spacing(about) {
  return [about.spacing.column_mm || 1, about.spacing.row_mm || 1];
}

export function toWorld([x, y], about) {
  const [across, down] = spacing(about);
  return [(x - origin()) * across, (y - origin()) * down, 0];
}

export function toPixels([x, y], about) {
  const [across, down] = spacing(about);
  return [x / across + origin(), y / down + origin()];
}
