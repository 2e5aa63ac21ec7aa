// Whether this browser's WebGL can draw these pictures; if not, the processor does, more slowly.

export function canDraw(config) {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) return false;
  const largest = Math.max(
    ...[...config.images, config.prior].filter(Boolean).flatMap((image) => [image.width, image.height]),
  );
  // Without filtering of float textures a picture would fall apart into squares.
  const able = Boolean(gl.getExtension("OES_texture_float_linear")) && gl.getParameter(gl.MAX_TEXTURE_SIZE) >= largest;
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return able;
}
