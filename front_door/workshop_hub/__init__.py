"""What runs inside the workshop's hub and its learners' servers: started by `front_door.hub`, in other environments."""
