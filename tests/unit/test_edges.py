"""Edge maps: lines where brightness changes, and nowhere else."""

from __future__ import annotations

import numpy as np

from synthaug.data.edges import edge_maps


def square(dark: int = 20, bright: int = 220, channels: int = 1) -> np.ndarray:
    pixels = np.full((1, channels, 32, 32), dark, np.uint8)
    pixels[..., 8:24, 10:26] = bright
    return pixels


def test_a_square_has_a_closed_thin_border() -> None:
    edges = edge_maps(square())
    assert set(np.unique(edges)) == {0, 255}
    line = edges[0, 0] > 0
    assert line[9:23].sum(axis=1).tolist() == [2] * 14  # one pixel left, one right
    assert line[:, 11:25].sum(axis=0).tolist() == [2] * 14
    rows, columns = np.nonzero(line)
    assert {rows.min(), rows.max()} <= {7, 8, 23, 24}
    assert {columns.min(), columns.max()} <= {9, 10, 25, 26}


def test_even_brightness_has_no_edges_and_dark_images_have_the_same() -> None:
    assert not edge_maps(np.full((2, 3, 16, 16), 90, np.uint8)).any()
    ramp = np.broadcast_to(np.arange(0, 64, 2, dtype=np.uint8), (1, 1, 32, 32))
    assert not edge_maps(np.ascontiguousarray(ramp))[..., 4:-4].any()  # it has no ridge
    assert np.array_equal(edge_maps(square(40, 200)), edge_maps(square(40, 60)))


def test_colours_count_by_their_brightness_and_all_channels_are_equal() -> None:
    edges = edge_maps(square(channels=3))
    assert np.array_equal(edges, np.repeat(edge_maps(square()), 3, axis=1))


def test_a_faint_edge_remains_where_it_continues_a_strong_one() -> None:
    contrast = np.clip(np.linspace(160, -20, 32), 30, 160).astype(np.uint8)  # from strong to faint, down the image
    pixels = np.full((2, 1, 32, 32), 60, np.uint8)
    pixels[0, 0, :, 16:] += contrast[:, None]
    pixels[1, 0, :16, 16:] += 160  # the faint part stands alone, apart from the strong one
    pixels[1, 0, 24:, 4:8] += 12
    joined, apart = edge_maps(pixels)[:, 0] > 0
    assert joined[:, 14:18].any(axis=1).all()
    assert apart[:12, 14:18].any(axis=1).all()
    assert not apart[27:, 2:10].any()


def test_an_image_has_the_same_edges_alone_and_among_others() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5, 3, 24, 24), dtype=np.uint8)
    alone = np.concatenate([edge_maps(pixels[k : k + 1]) for k in range(5)])
    assert np.array_equal(edge_maps(pixels), alone)
    assert np.array_equal(edge_maps(np.repeat(pixels, 60, axis=0))[::60], alone)  # more than are drawn at once
