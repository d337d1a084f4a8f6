from pathlib import Path

import pytest

from recsys_lab.data.sources.movielens import MovieLens
from recsys_lab.errors import EmptyDataError, SchemaError, SourceError
from tests.data.sources.reading import PACK, Loaded, real_data, write

EVENTS = [
    ("1", "10", 881_250_949, "rating", 3.0),
    ("1", "20", 881_250_950, "rating", 4.5),
    ("2", "10", 891_717_742, "rating", 5.0),
]
MOVIES = [
    ("10", "Léon (1994)", "Action Drama", "Action", 1994),
    ("20", 'The "Big" One, or not', None, None, None),
]
MOVIE_COLUMNS = "item_id, title, text, category, year"


def csv_edition(folder: Path, packing: str = "") -> Path:
    ratings = "userId,movieId,rating,timestamp\n1,10,3.0,881250949\n1,20,4.5,881250950\n2,10,5.0,891717742\n"
    movies = 'movieId,title,genres\n10,Léon (1994),Action|Drama\n20,"The ""Big"" One, or not",(no genres listed)\n'
    write(folder / "ratings.csv", ratings, packing=packing)
    write(folder / "movies.csv", movies, packing=packing)
    return folder


def dat_edition(folder: Path, *, encoding: str, users: bool) -> Path:
    ratings = "1::10::3::881250949\n1::20::4.5::881250950\n2::10::5::891717742\n"
    write(folder / "ratings.dat", ratings)
    movies = '10::Léon (1994)::Action|Drama\n20::The "Big" One, or not::(no genres listed)\n'
    write(folder / "movies.dat", movies, encoding=encoding)
    if users:
        write(folder / "users.dat", "1::F::1::10::48067\n2::M::56::16::70072\n")
    return folder


def tab_edition(folder: Path) -> Path:
    write(folder / "u.data", "1\t10\t3\t881250949\n1\t20\t4.5\t881250950\n2\t10\t5\t891717742\n")
    leon = "10|Léon (1994)|01-Jan-1994||http://us.imdb.com/M/title-exact?Leon|0|1|0|0|0|0|0|0|1|" + "|".join("0" * 10)
    other = '20|The "Big" One, or not||||1|' + "|".join("0" * 18)
    write(folder / "u.item", f"{leon}\n{other}\n", encoding="latin-1")
    write(folder / "u.user", "1|24|M|technician|85711\n2|53|F|other|94043\n")
    return folder


@pytest.mark.parametrize("packing", PACK)
def test_csv_editions(tmp_path: Path, packing: str) -> None:
    source = MovieLens(csv_edition(tmp_path, packing))
    loaded = Loaded(source)
    assert loaded.events() == EVENTS
    assert loaded.items(MOVIE_COLUMNS) == MOVIES
    assert "raw_users" not in loaded.tables()
    assert [path.name for path in source.files()] == [f"ratings.csv{packing}", f"movies.csv{packing}"]


def test_1m(tmp_path: Path) -> None:
    loaded = Loaded(MovieLens(dat_edition(tmp_path, encoding="latin-1", users=True)))
    assert loaded.events() == EVENTS
    assert loaded.items(MOVIE_COLUMNS) == MOVIES
    assert loaded.users("user_id, gender, age, occupation") == [("1", "F", "1", "10"), ("2", "M", "56", "16")]


def test_10m_has_no_users_and_is_utf_8(tmp_path: Path) -> None:
    loaded = Loaded(MovieLens(dat_edition(tmp_path, encoding="utf-8", users=False)))
    assert loaded.events() == EVENTS
    assert loaded.items(MOVIE_COLUMNS) == MOVIES


def test_100k(tmp_path: Path) -> None:
    loaded = Loaded(MovieLens(tab_edition(tmp_path)))
    assert loaded.events() == EVENTS
    assert loaded.items(MOVIE_COLUMNS) == MOVIES
    assert loaded.users("user_id, gender, age, occupation") == [
        ("1", "M", "24", "technician"),
        ("2", "F", "53", "other"),
    ]


def test_the_path_may_be_the_ratings_file(tmp_path: Path) -> None:
    csv_edition(tmp_path)
    assert Loaded(MovieLens(tmp_path / "ratings.csv")).events() == EVENTS
    with pytest.raises(SourceError, match=r"movies\.csv is not called ratings\.csv or ratings\.dat or u\.data"):
        MovieLens(tmp_path / "movies.csv").files()


def test_tags_are_not_read(tmp_path: Path) -> None:
    csv_edition(tmp_path)
    write(tmp_path / "tags.csv", "userId,movieId,tag,timestamp\n1,10,hitman,1500000000\n")
    loaded = Loaded(MovieLens(tmp_path))
    assert loaded.items(MOVIE_COLUMNS) == MOVIES


def test_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no ratings\.csv or ratings\.dat or u\.data \(nor with \.gz"):
        MovieLens(tmp_path).files()
    ratings = write(tmp_path / "ratings.csv", "userId,movie,rating,timestamp\n1,10,3,881250949\n")
    with pytest.raises(SourceError, match=r"has no movies\.csv"):
        MovieLens(tmp_path).files()
    write(tmp_path / "movies.csv", "movieId,title,genres\n10,A,B\n")
    with pytest.raises(SchemaError, match="'item_id' or 'movieId' is missing; it has userId, movie, rating"):
        Loaded(MovieLens(tmp_path))
    write(ratings, "userId,movieId,rating,timestamp\n1,10,3,yesterday\n")
    with pytest.raises(SchemaError, match="1 of 1 times cannot be read, the first is 'yesterday'"):
        Loaded(MovieLens(tmp_path))
    write(ratings, "userId,movieId,rating,timestamp\n")
    with pytest.raises(EmptyDataError, match=r"ratings\.csv"):
        Loaded(MovieLens(tmp_path))


def test_real_movielens_small() -> None:
    loaded = Loaded(MovieLens(real_data("movielens-small")))
    counts = "SELECT count(*), count(DISTINCT user_id), count(DISTINCT item_id) FROM raw_events"
    assert loaded.query(counts) == [(100_004, 671, 9_066)]
    assert loaded.query(f"SELECT {MOVIE_COLUMNS} FROM raw_items WHERE item_id = '2'") == [
        ("2", "Jumanji (1995)", "Adventure Children Fantasy", "Adventure", 1995)
    ]
    assert loaded.events()[0] == ("1", "31", 1_260_759_144, "rating", 2.5)
