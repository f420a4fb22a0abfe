// QR codes from the camera: by the browser's own detector where it has one, else by a decoder that is loaded then.

interface Detector {
  detect(source: HTMLVideoElement | HTMLCanvasElement): Promise<{ rawValue: string }[]>;
}
interface DetectorClass {
  new (options: { formats: string[] }): Detector;
  getSupportedFormats(): Promise<readonly string[]>;
}

const BETWEEN_MS = 150;
/** Enough for a code that fills half the picture, and quick to search. */
const SEARCHED_PX = 720;

/** Shows the camera in the video and reads codes until `found` takes one, or the signal ends it. */
export async function readCodes(video: HTMLVideoElement, signal: AbortSignal, found: (text: string) => boolean): Promise<void> {
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { facingMode: { ideal: 'environment' }, width: { ideal: 1280 } },
    audio: false,
  });
  try {
    if (signal.aborted) return;
    video.srcObject = stream;
    await video.play();
    const read = await reader();
    while (!signal.aborted) {
      const text = await read(video);
      if (signal.aborted) return;
      if (text !== undefined && found(text)) return;
      await new Promise((next) => setTimeout(next, BETWEEN_MS));
    }
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  }
}

async function reader(): Promise<(video: HTMLVideoElement) => Promise<string | undefined>> {
  const native = (globalThis as { BarcodeDetector?: DetectorClass }).BarcodeDetector;
  if (native && (await native.getSupportedFormats().catch((): string[] => [])).includes('qr_code')) {
    const detector = new native({ formats: ['qr_code'] });
    return async (video) => (await detector.detect(video).catch(() => []))[0]?.rawValue;
  }
  const { decodeQR } = await import('qr/decode.js');
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  return async (video) => {
    const scale = Math.min(1, SEARCHED_PX / Math.max(video.videoWidth, video.videoHeight, 1));
    canvas.width = Math.round(video.videoWidth * scale);
    canvas.height = Math.round(video.videoHeight * scale);
    if (!context || !canvas.width || !canvas.height) return undefined;
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    try {
      return decodeQR(context.getImageData(0, 0, canvas.width, canvas.height));
    } catch {
      return undefined; // no code in this picture
    }
  };
}
