# The course in a container, from the same lock as "python3 kit.py lab". Nothing is fetched once it is built.
#
#   docker build --target course -t ppml-course:0.1.0 .
#   docker run --rm -it -p 127.0.0.1:8888:8888 ppml-course:0.1.0
#
# The last lines that it prints hold the address, with a token that is made anew at each start.
# Without --target the image of a workshop's hub is built: the learner edition alone (workshop/kubernetes/README.md).

FROM python:3.11.15-slim-bookworm AS base
# The CPU build of torch, which the course was measured with: the usual one brings several GB of CUDA along.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_EXTRA_INDEX_URL=${TORCH_INDEX} \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1 \
    LANG=C.UTF-8
RUN useradd --create-home --uid 1000 --shell /bin/bash learner \
    && install --directory --owner learner --group learner /srv/course /srv/edition
USER 1000
WORKDIR /srv/course

FROM base AS course
# What decides what is installed comes first: another word in a notebook does not install everything anew.
COPY --chown=learner:learner kit.py pyproject.toml README.md LICENSE requirements.lock requirements-optional.lock ./
COPY --chown=learner:learner front_door front_door
COPY --chown=learner:learner ppml_helpers ppml_helpers
RUN ["python3", "-c", "from front_door import environment, places; environment.ensure(places.COURSE)"]
COPY --chown=learner:learner . .
ENV PATH=/srv/course/.venv/bin:${PATH} \
    JUPYTER_CONFIG_PATH=/srv/course/jupyter_config \
    OMP_NUM_THREADS=1
EXPOSE 8888
# 0.0.0.0 is the container's own network: "-p 127.0.0.1:8888:8888" above opens it to this computer alone.
CMD ["jupyter", "lab", "--no-browser", "--ip=0.0.0.0", "--port=8888", "--ServerApp.root_dir=/srv/course", \
     "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb"]

FROM course AS edition
RUN ["python3", "kit.py", "learner", "/srv/edition"]

# No layer of this image holds a solution: it takes the packages and the edition, and nothing else of the course.
FROM base AS learner
COPY --chown=learner:learner --from=course /srv/course/.venv .venv
COPY --chown=learner:learner --from=edition /srv/edition ./
# The version of the hub's chart (workshop/kubernetes/values.yaml). What it asks for besides these two is in the lock.
RUN [".venv/bin/python", "-m", "pip", "install", "--no-deps", "jupyterhub==5.4.5", "certipy==0.2.3", "pamela==1.2.0"]
ENV PATH=/srv/course/.venv/bin:${PATH} \
    JUPYTER_CONFIG_PATH=/srv/course/jupyter_config \
    OMP_NUM_THREADS=1 \
    PPML_PROGRESS=/home/learner/.progress \
    PPML_RESULTS=/home/learner/.results
WORKDIR /home/learner
EXPOSE 8888
CMD ["jupyterhub-singleuser", "--ip=0.0.0.0"]
