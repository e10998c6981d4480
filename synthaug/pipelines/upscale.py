"""`upscale`: enlarge the images of a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from synthaug.data.decode import MAX_PIXELS, SUFFIXES, UnreadableImage, decode_bytes, on_white, quiet_decoding
from synthaug.documents import Unreadable, UpscaleDocument
from synthaug.errors import SynthaugError
from synthaug.exporters.looks import Tables, as_image, encode, read_look, to_mode
from synthaug.files import check_outside, check_replaceable, new_folder, write_json
from synthaug.progress import Progress, shown
from synthaug.requests import UpscaleRequest, documented
from synthaug.runs import RunLike, find
from synthaug.sampling.upscaling import TrainedUpscaler, load_upscaler

DOCUMENT = "upscale.json"


@documented(UpscaleRequest)
def upscale(
    run: RunLike, folder: str | Path, *, out: str | Path, overwrite: bool = False, checkpoint: str | Path = "best",
    runs: str | Path | None = None, device: str = "auto", progress: Progress | bool = True,
) -> UpscaleDocument:  # fmt: skip
    """Enlarge every image below a folder. Names, formats and colour modes stay; the files are marked as synthetic.

    Raises:
        SynthaugError: the run is no upscaler, it cannot enlarge images of these channels, there is no image, or the
            output exists.
    """
    return run_upscale(UpscaleRequest.of(locals()), shown(progress))


def run_upscale(request: UpscaleRequest, progress: Progress) -> UpscaleDocument:
    upscaler = load_upscaler(find(request.run, request.runs), request.checkpoint, request.device)
    paths = sorted(path for path in request.folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise SynthaugError(f"{str(request.folder)!r} holds no image", "give a folder of images")
    out = request.out.absolute()
    check_outside(out, [request.folder, upscaler.run.facts().data], "--out")
    check_replaceable(out, marker=DOCUMENT, what="an earlier output of `upscale`", overwrite=request.overwrite)
    if upscaler.scores is not None and not upscaler.scores.better:
        progress.warn(
            f"the upscaler {upscaler.run.name!r} does not beat bicubic interpolation: {upscaler.scores.text()}"
        )
    unreadable = []
    with new_folder(out, replace=request.overwrite) as made:
        with progress.task("upscaling", len(paths), "images") as task, quiet_decoding():
            for path in paths:
                name = path.relative_to(request.folder)
                try:
                    data = _enlarged(path, upscaler)
                except UnreadableImage as error:
                    unreadable.append(Unreadable(path=str(name), reason=error.reason))
                    progress.warn(f"{error.message}: left out")
                else:
                    (made / name).parent.mkdir(parents=True, exist_ok=True)
                    (made / name).write_bytes(data)
                task.advance()
        if len(unreadable) == len(paths):
            raise SynthaugError(
                f"no image in {str(request.folder)!r} can be read, such as {unreadable[0].path!r}: "
                f"{unreadable[0].reason}",
                "give a folder of images",
            )
        document = UpscaleDocument(
            out=str(out), images=len(paths) - len(unreadable), scale=upscaler.scale, checkpoint=upscaler.checkpoint,
            scores=upscaler.scores, unreadable=unreadable,
        )  # fmt: skip
        write_json(made / DOCUMENT, document.model_dump(mode="json"))
    return document


def _enlarged(path: Path, upscaler: TrainedUpscaler) -> bytes:
    """The file of an enlarged image, with the look of the original.

    Raises:
        UnreadableImage: it cannot be decoded, or is too large.
        SynthaugError: it has colours, and the upscaler is for grey images.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableImage(path, (error.strerror or "cannot be read").lower()) from error
    image = on_white(decode_bytes(data, path)[0])
    width, height = (upscaler.scale * side for side in image.size)
    if width * height > MAX_PIXELS:
        raise UnreadableImage(path, f"enlarged, it would have {width}x{height} pixels, and the limit is {MAX_PIXELS}")
    if image.mode != "L" and upscaler.channels == 1:
        raise SynthaugError(
            f"the image {str(path)!r} has colours, but the upscaler {upscaler.run.name!r} is for grey images",
            "train one on colour images, or with --set data.channels=3",
        )
    made = as_image(upscaler.enlarge(_pixels(image, upscaler.channels)))
    tables: Tables = {}
    look = read_look(data, path.suffix, tables).model_copy(update={"width": width, "height": height})
    return encode(to_mode(made.convert("L") if image.mode == "L" else made, look), look, tables)


def _pixels(image: Image.Image, channels: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    array = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return np.ascontiguousarray(array[None] if channels == 1 else array.transpose(2, 0, 1))
