"""From a simulated state to pictures: OpenGL, cameras, textures that change."""
