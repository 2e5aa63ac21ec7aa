// What the pointer does: window, move, zoom, length, angle. One tool has the left button and one
// finger; the middle button moves, the right one zooms, two fingers do both.
import {
  addTool,
  AngleTool,
  annotation,
  BaseTool,
  Enums,
  LengthTool,
  PanTool,
  ToolGroupManager,
  ZoomTool,
} from "@cornerstonejs/tools";
import { linesOn } from "./measure.mjs";

const { Primary, Auxiliary, Secondary } = Enums.MouseBindings;
const GROUP = "xray";

/** Windows by the pane's own arithmetic, which knows the file's function and bits. */
class WindowTool extends BaseTool {
  static toolName = "Window";

  constructor(toolProps = {}, defaults = { supportedInteractionTypes: ["Mouse", "Touch"] }) {
    super(toolProps, defaults);
  }

  mouseDragCallback(event) {
    const [across, down] = event.detail.deltaPoints.canvas;
    this.configuration.paneOf(event.detail.element)?.dragWindow(across, down);
  }

  touchDragCallback(event) {
    this.mouseDragCallback(event);
  }
}

const TOOLS = {
  window: WindowTool,
  pan: PanTool,
  zoom: ZoomTool,
  length: LengthTool,
  angle: AngleTool,
};
export const TOOL_NAMES = Object.keys(TOOLS);

const ALWAYS = {
  pan: [{ mouseButton: Auxiliary }],
  zoom: [{ mouseButton: Secondary }, { numTouchPoints: 2 }],
};

export function makeTools(panes, texts) {
  for (const tool of Object.values(TOOLS)) addTool(tool);
  const group = ToolGroupManager.createToolGroup(GROUP);
  const paneOf = (element) => panes().find((pane) => pane.element === element);
  group.addTool(WindowTool.toolName, { paneOf });
  group.addTool(PanTool.toolName);
  group.addTool(ZoomTool.toolName, { minZoomScale: 0.001, pinchToZoom: true, pan: true });
  group.addTool(LengthTool.toolName, { getTextLines: linesOn("length", texts) });
  group.addTool(AngleTool.toolName, { getTextLines: linesOn("angle", texts) });
  annotation.config.style.setDefaultToolStyles({
    global: {
      color: "rgb(255, 214, 74)",
      colorHighlighted: "rgb(120, 230, 140)",
      colorSelected: "rgb(120, 230, 140)",
      colorLocked: "rgb(190, 200, 205)",
      lineWidth: "2",
      lineDash: "",
      shadow: true,
      textBoxVisibility: true,
      textBoxFontFamily: "system-ui, sans-serif",
      textBoxFontSize: "14px",
      textBoxColor: "rgb(255, 214, 74)",
      textBoxColorHighlighted: "rgb(120, 230, 140)",
      textBoxColorSelected: "rgb(120, 230, 140)",
      textBoxColorLocked: "rgb(190, 200, 205)",
      textBoxLinkLineWidth: "1",
      textBoxLinkLineDash: "2,3",
      textBoxShadow: true,
    },
  });
  return {
    addPane(pane, engineId) {
      group.addViewport(pane.name, engineId);
    },
    removePane(pane, engineId) {
      group.removeViewports(engineId, pane.name);
    },
    choose(chosen) {
      for (const [name, tool] of Object.entries(TOOLS)) {
        const always = ALWAYS[name] || [];
        const bindings = name === chosen ? [{ mouseButton: Primary }, ...always] : always;
        // Passive lets go of every button first, and leaves what was measured to be moved.
        group.setToolPassive(tool.toolName, { removeAllBindings: true });
        if (bindings.length) group.setToolActive(tool.toolName, { bindings });
      }
    },
  };
}
