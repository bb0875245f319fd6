"""What graphs are made of: OpenVINO's operations over the tensors of model.safetensors, without PyTorch."""
