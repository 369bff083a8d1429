"""Composition: survey, build, train to map, change, publishing. The only room that knows all others."""
