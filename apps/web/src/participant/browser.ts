export interface Browser {
  readonly family: 'chrome' | 'edge' | 'firefox' | 'safari' | 'other';
  readonly os: 'windows' | 'macos' | 'linux' | 'android' | 'ios' | 'other';
}

/** Family and system from a user-agent string; used only to word advice. */
export function readBrowser(userAgent: string): Browser {
  const has = (word: string) => userAgent.includes(word);
  const os = has('Android')
    ? 'android'
    : has('iPhone') || has('iPad')
      ? 'ios'
      : has('Windows')
        ? 'windows'
        : has('Mac OS')
          ? 'macos'
          : has('Linux')
            ? 'linux'
            : 'other';
  const family = has('Firefox/')
    ? 'firefox'
    : has('Edg/')
      ? 'edge'
      : has('Chrome/') || has('Chromium/')
        ? 'chrome'
        : has('Safari/')
          ? 'safari'
          : 'other';
  return { family, os };
}

/** What to do where WebGPU is missing, or where only a software adapter is offered. */
export function enableWebGpuSteps({ family, os }: Browser): string {
  const updateDriver = 'then update the graphics driver and restart the browser.';
  switch (family) {
    case 'chrome':
    case 'edge': {
      const flags = family === 'edge' ? 'edge://flags' : 'chrome://flags';
      const report = family === 'edge' ? 'edge://gpu' : 'chrome://gpu';
      if (os === 'linux') {
        return `On Linux (NVIDIA and AMD), open ${flags}, enable “Vulkan” and “Unsafe WebGPU Support”, install the vendor’s driver and restart the browser; ${report} should then name your GPU.`;
      }
      if (os === 'android') return `Update the browser to version 121 or newer; WebGPU needs Android 12 or newer.`;
      return `Update the browser to version 113 or newer, switch on “Use graphics acceleration when available” in its system settings, ${updateDriver}`;
    }
    case 'firefox':
      return os === 'windows' || os === 'macos'
        ? `Update Firefox to version 141 (Windows) or 145 (macOS) or newer, ${updateDriver}`
        : 'In Firefox on this system, open about:config and set dom.webgpu.enabled to true, or use Chrome or Edge.';
    case 'safari':
      return os === 'ios' ? 'Update to iOS 26 or newer.' : 'Update to Safari 26 or newer, or use Chrome.';
    case 'other':
      return 'Use a current Chrome, Edge, Firefox or Safari on a computer with a GPU.';
    default:
      return family satisfies never;
  }
}
