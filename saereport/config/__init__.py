"""What a build is asked: settings, selections of latents, numbers as people write them, YAML."""
