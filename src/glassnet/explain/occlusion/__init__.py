"""Occlusion: what the network says with a part of the picture covered, for every place of the cover, exactly."""
