// Where files of the server are. Every path is relative, so that a proxy may put the page anywhere.

/** @param {string} name a file's name with its folders */
export const path = (name) => name.split("/").map(encodeURIComponent).join("/");

/** @param {string} root input, output, temp @param {string} name */
export const fileUrl = (root, name) => `api/v1/files/${root}/${path(name)}`;

/** @param {string} root also a model folder, "workflows" or `datasets/NAME` @param {string} name */
export const thumbnailUrl = (root, name) => `api/v1/thumbnails/${path(root)}/${path(name)}`;
