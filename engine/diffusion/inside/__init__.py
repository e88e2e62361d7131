"""Methods that work inside a network (attention, features, layers), each as an `inside` of GuidanceOptions."""
