"""An upscaler judged on generated images: one that blurs, and one that changes the image, are found."""

from __future__ import annotations

from synthaug.documents import UpscaledFakes


def test_better_is_sharper_like_real_images_and_still_the_same_image() -> None:
    good = UpscaledFakes(images=64, difference=0.3, sharpness=0.8, bicubic_sharpness=0.4)
    assert good.better
    assert not good.model_copy(update={"sharpness": 0.3}).better  # blurred
    assert not good.model_copy(update={"sharpness": 3.0}).better  # too sharp: invented detail
    assert not good.model_copy(update={"difference": 4.0}).better  # another image
    assert "on 64 generated images its sharpness is 0.80 times that of real ones (bicubic 0.40)" in good.text()
