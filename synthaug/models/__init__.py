"""Families of generators and discriminators, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.registry import Registry

if TYPE_CHECKING:
    from synthaug.models.family import Builder

MODELS: Registry[Builder] = Registry("families", {"dcgan": "synthaug.models.dcgan:build"})
