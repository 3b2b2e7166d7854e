"""Tests in rings, from fast to slow: unit, simulation, contract, scenario, api, browser."""
